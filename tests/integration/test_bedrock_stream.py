"""Runs on Bedrock, spoken to as the real boto3 does it."""

from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.messages import ModelRequest as AiRequest
from pydantic_ai.messages import TextPart
from pydantic_ai.models import ModelRequestParameters

from agent_catalog.models.factory import create_model
from agentrun.domain.events import ContentDelta, ReasoningDelta, ToolEnd, ToolStart
from agentrun.domain.requests import RunOptions
from tests.bedrock import (
    BedrockServer,
    Reasoning,
    Reply,
    Text,
    ToolUse,
    Usage,
    model_id,
)
from tests.bedrock.engine_run import Runner

pytestmark = pytest.mark.anyio

HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"
ARN = "arn:aws:bedrock:eu-west-1:123456789012"
APPLICATION_PROFILE = f"{ARN}:application-inference-profile/a1b2c3d4e5f6"
NAMED = [
    HAIKU,
    f"eu.{HAIKU}",
    f"global.{HAIKU}",
    f"{ARN}:inference-profile/eu.{HAIKU}",
]
TWO_TOOLS = Reply(
    Reasoning("Let me", " add.", signature="signed-1"),
    Text("I add."),
    ToolUse("t1", "add", {"left": 1, "right": 2}),
    ToolUse("t2", "whose", {}),
    usage=Usage(100, 20),
)
ANSWER = Reply(Text("It is ", "3."), usage=Usage(200, 5, cache_read=3000, cache_write=400))


async def test_a_run_says_what_the_model_streams(bedrock: BedrockServer, tmp_path: Path) -> None:
    bedrock.script(TWO_TOOLS, ANSWER)
    run = await Runner(tmp_path, f"bedrock:eu.{HAIKU}").run()
    assert run.error is None
    # Tools that run at once end in any order.
    run.events[5:7] = sorted(run.events[5:7], key=lambda event: event.id)
    assert run.events == [
        ReasoningDelta(text="Let me"),
        ReasoningDelta(text=" add."),
        ContentDelta(text="I add."),
        ToolStart(id="t1", name="add", arguments={"left": 1, "right": 2}),
        ToolStart(id="t2", name="whose", arguments={}),
        ToolEnd(id="t1", name="add", result=3),
        ToolEnd(id="t2", name="whose", result="hello acme/ana/session-1"),
        ContentDelta(text="It is "),
        ContentDelta(text="3."),
    ]


async def test_the_results_of_parallel_calls_go_back_in_one_message(
    bedrock: BedrockServer, tmp_path: Path
) -> None:
    bedrock.script(TWO_TOOLS, ANSWER)
    await Runner(tmp_path, f"bedrock:eu.{HAIKU}").run()
    results = [block["toolResult"] for block in bedrock.requests[1].body["messages"][-1]["content"]]
    assert [(result["toolUseId"], result["status"]) for result in results] == [
        ("t1", "success"),
        ("t2", "success"),
    ]


@pytest.mark.parametrize("named", NAMED)
async def test_a_profile_reaches_bedrock_intact_and_gets_its_signed_reasoning_back(
    bedrock: BedrockServer, tmp_path: Path, named: str
) -> None:
    bedrock.script(TWO_TOOLS, ANSWER)
    run = await Runner(tmp_path, f"bedrock:{named}").run()
    assert run.error is None
    assert [model_id(request) for request in bedrock.requests] == [named, named]
    assert reasoning_in(bedrock.requests[1].body) == [
        {"text": "Let me add.", "signature": "signed-1"}
    ]


async def test_an_application_profile_reaches_bedrock_intact(
    bedrock: BedrockServer, tmp_path: Path
) -> None:
    bedrock.script(TWO_TOOLS, ANSWER)
    run = await Runner(tmp_path, f"bedrock:{APPLICATION_PROFILE}").run()
    assert run.error is None
    assert run.text == "I add.It is 3."
    assert [model_id(request) for request in bedrock.requests] == [APPLICATION_PROFILE] * 2
    # Its id says nothing of the model behind it, neither the price nor what it takes back.
    assert run.metrics.cost_usd is None
    assert reasoning_in(bedrock.requests[1].body) == []


async def test_an_application_profile_of_a_named_model_gets_its_signed_reasoning_back(
    bedrock: BedrockServer, tmp_path: Path
) -> None:
    bedrock.script(TWO_TOOLS, ANSWER)
    profile = f"model_settings:\n  bedrock_inference_profile: {APPLICATION_PROFILE}\n"
    run = await Runner(tmp_path, f"bedrock:{HAIKU}", profile).run()
    assert [model_id(request) for request in bedrock.requests] == [APPLICATION_PROFILE] * 2
    assert reasoning_in(bedrock.requests[1].body)[0]["signature"] == "signed-1"
    assert run.metrics.cost_usd is not None


@pytest.mark.parametrize("named", NAMED)
async def test_the_figures_are_those_of_all_requests_with_the_cache_and_the_price(
    bedrock: BedrockServer, tmp_path: Path, named: str
) -> None:
    bedrock.script(TWO_TOOLS, ANSWER)
    figures = (await Runner(tmp_path, f"bedrock:{named}").run()).metrics
    # Bedrock's `inputTokens` are those that were neither read from the cache nor written to it.
    assert figures.input_tokens == 100 + 200 + 3000 + 400
    assert figures.output_tokens == 25
    assert figures.total_tokens == 3725
    assert figures.llm_calls == 2
    assert figures.model == f"bedrock:{named}"
    # Per million: 1 USD in, 5 out, 0.10 from the cache, 1.25 to it; a region's own profile and a
    # plain id cost a tenth more than the global one.
    global_price = (300 * 1.0 + 3000 * 0.1 + 400 * 1.25 + 25 * 5.0) / 1e6
    price = global_price if named.startswith("global.") else global_price * 1.1
    assert figures.cost_usd == pytest.approx(price)


async def test_a_model_without_a_known_price_costs_nothing_known(
    bedrock: BedrockServer, tmp_path: Path
) -> None:
    bedrock.script(ANSWER)
    figures = (await Runner(tmp_path, "bedrock:acme.new-model-v1:0").run()).metrics
    assert figures.cost_usd is None
    assert figures.output_tokens == 5


async def test_an_answer_without_figures_has_none(bedrock: BedrockServer, tmp_path: Path) -> None:
    bedrock.script(Reply(Text("hi"), usage=None))
    run = await Runner(tmp_path, f"bedrock:eu.{HAIKU}").run()
    assert run.error is None
    assert (run.metrics.input_tokens, run.metrics.cost_usd, run.metrics.llm_calls) == (
        None,
        None,
        1,
    )


async def test_options_reach_bedrock(bedrock: BedrockServer, tmp_path: Path) -> None:
    bedrock.script(ANSWER)
    options = RunOptions(temperature=0.5, max_tokens=77)
    await Runner(tmp_path, f"bedrock:eu.{HAIKU}").run(message="hello", options=options)
    body = bedrock.requests[0].body
    assert body["inferenceConfig"] == {"temperature": 0.5, "maxTokens": 77}
    assert body["messages"] == [{"role": "user", "content": [{"text": "hello"}]}]
    assert {"text": "Be terse."} in body["system"]


async def test_an_answer_that_comes_at_once_is_taken_whole(bedrock: BedrockServer) -> None:
    bedrock.script(Reply(Text("It is ", "3.")))
    model = create_model("bedrock:acme.new-model-v1:0")
    messages: list[Any] = [AiRequest.user_text_prompt("go")]
    response = await model.request(messages, None, ModelRequestParameters())
    assert bedrock.requests[0].path.endswith("/converse")
    assert response.parts == [TextPart("It is 3.")]


def reasoning_in(body: dict[str, Any]) -> list[Any]:
    """Return the reasoning that a request sends back."""
    return [
        block["reasoningContent"]["reasoningText"]
        for message in body["messages"]
        for block in message["content"]
        if "reasoningContent" in block
    ]
