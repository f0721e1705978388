"""How many tokens an agent asks Bedrock for, which reserves them when the call starts."""

from pathlib import Path
from typing import Any

import pytest

from agent_catalog.agent_file import DEFAULT_MAX_TOKENS
from agentrun.domain.requests import RunOptions
from tests.bedrock import BedrockServer, Reply, Text, ToolUse
from tests.bedrock.engine_run import EngineRun, Runner

pytestmark = pytest.mark.anyio

SONNET = "bedrock:global.anthropic.claude-sonnet-5-5"
HAIKU = "bedrock:eu.anthropic.claude-haiku-4-5-20251001-v1:0"
ANSWER = Reply(Text("Yes."))


@pytest.fixture
def bedrock(bedrock: BedrockServer) -> BedrockServer:
    bedrock.always(lambda _: ANSWER)
    return bedrock


def asked_for(bedrock: BedrockServer) -> int | None:
    found: int | None = bedrock.requests[-1].body.get("inferenceConfig", {}).get("maxTokens")
    return found


async def run(folder: Path, model: str, more: str = "", **task: Any) -> EngineRun:
    done = await Runner(folder, model, more).run(**task)
    assert done.error is None
    return done


@pytest.mark.parametrize("model", [SONNET, HAIKU])
async def test_a_claude_model_is_asked_for_8000_tokens_not_for_its_maximum(
    bedrock: BedrockServer, tmp_path: Path, model: str
) -> None:
    await run(tmp_path, model)
    assert asked_for(bedrock) == DEFAULT_MAX_TOKENS == 8_000


async def test_the_agents_file_wins_and_the_request_wins_over_it(
    bedrock: BedrockServer, tmp_path: Path
) -> None:
    more = "model_settings: {max_tokens: 20000}"
    await run(tmp_path, SONNET, more)
    assert asked_for(bedrock) == 20_000
    await run(tmp_path, SONNET, more, options=RunOptions(max_tokens=77))
    assert asked_for(bedrock) == 77


async def test_every_step_of_a_run_asks_for_as_much(bedrock: BedrockServer, tmp_path: Path) -> None:
    replies = iter([Reply(ToolUse("t1", "add", {"left": 1, "right": 2})), ANSWER])
    bedrock.always(lambda _: next(replies))
    await run(tmp_path, SONNET)
    assert [request.body["inferenceConfig"] for request in bedrock.requests] == [
        {"maxTokens": DEFAULT_MAX_TOKENS}
    ] * 2


@pytest.mark.parametrize("model", ["bedrock:amazon.nova-pro-v1:0", "bedrock:acme.small-v1:0"])
async def test_a_model_whose_maximum_is_not_known_is_left_at_its_own(
    bedrock: BedrockServer, tmp_path: Path, model: str
) -> None:
    await run(tmp_path, model)
    assert asked_for(bedrock) is None


BUDGET = "{type: enabled, budget_tokens: 9000}"
ADAPTIVE = "{type: adaptive}"
FIELDS = "model_settings: {{bedrock_additional_model_requests_fields: {{{}}}}}"
THINKING = [
    # By capability or setting, with pydantic-ai's budgets for models that take one.
    (HAIKU, "capabilities: [Thinking]", 10_000, 18_000),
    (HAIKU, "capabilities: [{Thinking: {effort: high}}]", 16_384, 24_384),
    (HAIKU, "model_settings: {thinking: max}", 32_768, 40_768),
    (HAIKU, "model_settings: {thinking: false}", None, 8_000),
    (HAIKU, "capabilities: [{Thinking: {effort: false}}]", None, 8_000),
    # As the model's own fields say, which win.
    (HAIKU, FIELDS.format(f"thinking: {BUDGET}"), 9_000, 17_000),
    (HAIKU, FIELDS.format("thinking: {type: disabled}"), None, 8_000),
    # Models that decide themselves how long they think get the same room.
    (SONNET, "capabilities: [{Thinking: {effort: low}}]", None, 10_048),
    (SONNET, FIELDS.format(f"thinking: {ADAPTIVE}, output_config: {{effort: high}}"), None, 24_384),
    (SONNET, FIELDS.format(f"thinking: {ADAPTIVE}"), None, 18_000),
]


@pytest.mark.parametrize(("model", "more", "budget", "most"), THINKING)
async def test_thinking_that_an_agent_asks_for_comes_on_top(
    bedrock: BedrockServer, tmp_path: Path, model: str, more: str, budget: int | None, most: int
) -> None:
    await run(tmp_path, model, more)
    body = bedrock.requests[-1].body
    thinking = body.get("additionalModelRequestFields", {}).get("thinking", {})
    assert thinking.get("budget_tokens") == budget
    assert asked_for(bedrock) == most


async def test_no_more_is_asked_for_than_a_model_can_say(
    bedrock: BedrockServer, tmp_path: Path
) -> None:
    thinking = "thinking: {type: enabled, budget_tokens: 60000}"
    await run(tmp_path, HAIKU, FIELDS.format(thinking))
    assert asked_for(bedrock) == 64_000


async def test_a_suggestion_is_not_thought_about(bedrock: BedrockServer, tmp_path: Path) -> None:
    await run(tmp_path, HAIKU, generate_followups=True)
    fields = [request.body.get("additionalModelRequestFields") for request in bedrock.requests]
    assert fields[0] is None
    assert {str(later) for later in fields[1:]} == {"{'thinking': {'type': 'disabled'}}"}
