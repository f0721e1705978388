"""Runs on other providers than Bedrock: their real clients, and where their keys come from."""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from agent_catalog import secret_variables
from agent_catalog.agent_file import DEFAULT_MAX_TOKENS
from agentrun.domain.events import ContentDelta, Metrics, ReasoningDelta, ToolEnd, ToolStart
from tests.anthropic_api import AnthropicServer, MessageError, MessageReply, anthropic_server
from tests.bedrock import Cut, EndOfStream, Reasoning, StreamException, Text, ToolUse
from tests.bedrock.engine_run import Runner
from tests.openai_compatible import ChatReply, OpenAiCompatibleServer, openai_compatible_server

pytestmark = pytest.mark.anyio

CLAUDE = "anthropic:claude-haiku-4-5"
SERVED = "openai:qwen3:8b"
KEY = "sk-hunter2-hunter2"
SAID = Text("It ", "is ")
OF_PROVIDERS = ("ANTHROPIC_", "OPENAI_", "OLLAMA_", "VLLM_", "LITELLM_")


@pytest.fixture(autouse=True)
def _nothing_of_the_developers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(OF_PROVIDERS)]:
        monkeypatch.delenv(name)


@pytest.fixture
def claude() -> Iterator[AnthropicServer]:
    with anthropic_server() as server:
        yield server


@pytest.fixture
def served() -> Iterator[OpenAiCompatibleServer]:
    with openai_compatible_server() as server:
        yield server


@pytest.fixture
def _in_environment(claude: AnthropicServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in claude.environment.items():
        monkeypatch.setenv(name, value)


class Secret:
    """The deployment's secret, in a Secrets Manager of moto's."""

    def __init__(self) -> None:
        self._client = boto3.client("secretsmanager")
        self.arn = self._client.create_secret(Name="agentrun", SecretString="{}")["ARN"]

    def holds(self, variables: Mapping[str, str]) -> None:
        """Write it, and let five minutes go by."""
        self._client.put_secret_value(SecretId=self.arn, SecretString=json.dumps(variables))
        secret_variables._provider.cache_clear()


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> Iterator[Secret]:
    secret_variables._provider.cache_clear()
    with mock_aws():
        secret = Secret()
        monkeypatch.setenv("AGENTRUN_SECRETS_ARN", secret.arn)
        yield secret
    secret_variables._provider.cache_clear()


@pytest.mark.usefixtures("_in_environment")
async def test_a_run_says_what_anthropics_model_streams(
    claude: AnthropicServer, tmp_path: Path
) -> None:
    claude.script(
        MessageReply(Reasoning("Let me", " add."), ToolUse("t1", "add", {"left": 1, "right": 2})),
        MessageReply(Text("It is ", "3.")),
    )
    async with Runner(tmp_path, CLAUDE) as runner:
        run = await runner.run()
    assert run.error is None
    assert run.events == [
        ReasoningDelta(text="Let me"),
        ReasoningDelta(text=" add."),
        ToolStart(id="t1", name="add", arguments={"left": 1, "right": 2}),
        ToolEnd(id="t1", name="add", result=3),
        ContentDelta(text="It is "),
        ContentDelta(text="3."),
    ]
    assert run.metrics.model_copy(update={"cost_usd": None}) == Metrics(
        input_tokens=60, output_tokens=14, total_tokens=74, llm_calls=2, model=CLAUDE
    )
    assert claude.requests[0].headers["authorization"] == "Bearer sk-ant-test"
    assert claude.requests[0].body["model"] == "claude-haiku-4-5"
    assert claude.requests[0].body["max_tokens"] == DEFAULT_MAX_TOKENS


@pytest.mark.usefixtures("_in_environment")
@pytest.mark.parametrize(
    ("answer", "error_type", "said", "requests"),
    [
        (MessageError(400, "invalid_request_error"), "MODEL_ERROR", "", 1),
        (MessageError(401, "authentication_error"), "MODEL_ERROR", "", 1),
        (MessageError(404, "not_found_error"), "MODEL_ERROR", "", 1),
        (MessageError(429, "rate_limit_error"), "MODEL_THROTTLED", "", 3),
        (MessageError(529, "overloaded_error"), "MODEL_THROTTLED", "", 3),
        (MessageReply(SAID, Cut()), "MODEL_ERROR", "It is ", 3),
        (MessageReply(SAID, EndOfStream()), "MODEL_ERROR", "It is ", 3),
        (MessageReply(SAID, StreamException("overloaded_error")), "MODEL_THROTTLED", "It is ", 3),
        (MessageReply(SAID, stop="refusal"), "CONTENT_FILTERED", "It is ", 1),
        (MessageReply(SAID, stop="max_tokens"), None, "It is ", 1),
    ],
    ids=str,
)
async def test_a_failure_of_anthropics_is_one_error_of_the_run(
    claude: AnthropicServer,
    tmp_path: Path,
    answer: MessageReply | MessageError,
    error_type: str | None,
    said: str,
    requests: int,
) -> None:
    claude.script(*[answer] * requests)
    claude.always(MessageReply(SAID))
    async with Runner(tmp_path, CLAUDE) as runner:
        run = await runner.run()
    assert run.text == said
    assert (run.error and run.error.error_type) == error_type
    assert "7d1e" not in str(run.error)
    assert len(claude.requests) == requests


async def test_the_secret_holds_the_keys_and_the_addresses_of_providers(
    claude: AnthropicServer, served: OpenAiCompatibleServer, secret: Secret, tmp_path: Path
) -> None:
    secret.holds(
        {
            **claude.environment,
            **served.environment,
            "ANTHROPIC_API_KEY": KEY,
            "OPENAI_API_KEY": f"{KEY}-2",
        }
    )
    claude.script(MessageReply(SAID))
    served.script(ChatReply(SAID))
    before = dict(os.environ)
    for model in (CLAUDE, SERVED):
        async with Runner(tmp_path, model) as runner:
            assert (await runner.run()).error is None
    assert claude.requests[0].headers["authorization"] == f"Bearer {KEY}"
    # Whatever serves there may have a small context window.
    assert not {"max_tokens", "max_completion_tokens"} & set(served.requests[0].body)
    assert served.requests[0].headers["authorization"] == f"Bearer {KEY}-2"
    assert dict(os.environ) == before


async def test_a_rotated_key_is_taken_up_by_the_next_run(
    claude: AnthropicServer, secret: Secret, tmp_path: Path
) -> None:
    claude.always(MessageReply(SAID))
    async with Runner(tmp_path, CLAUDE) as runner:
        for key in ("sk-old", "sk-old", "sk-new"):
            secret.holds({**claude.environment, "ANTHROPIC_API_KEY": key})
            assert (await runner.run()).error is None
        assert len(runner._models) == 2
    sent = [request.headers["authorization"] for request in claude.requests]
    assert sent == ["Bearer sk-old", "Bearer sk-old", "Bearer sk-new"]


async def test_a_secret_that_cannot_be_read_fails_the_runs_that_need_a_key(
    secret: Secret, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTRUN_SECRETS_ARN", secret.arn.replace("agentrun", "another"))
    secret_variables._provider.cache_clear()
    async with Runner(tmp_path, CLAUDE) as runner:
        run = await runner.run()
    assert run.error is not None
    assert run.error.error_type == "MODEL_ERROR"
    assert "cannot be read at the moment" in str(run.error)
    async with Runner(tmp_path, "demo", f"followup_model: {CLAUDE}\n") as runner:
        run = await runner.run(generate_followups=True)
    assert run.error is None
    assert run.text


async def test_a_key_is_neither_logged_nor_told(
    claude: AnthropicServer, secret: Secret, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret.holds({**claude.environment, "ANTHROPIC_API_KEY": KEY})
    claude.always(MessageError(401, "authentication_error"))
    with caplog.at_level(logging.INFO):
        async with Runner(tmp_path, CLAUDE) as runner:
            run = await runner.run()
    assert run.error is not None
    assert claude.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in caplog.text
    assert KEY not in f"{run.error!r} {run.error.__cause__!r}"


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("anthropic:claude-haiku-4-5", "ANTHROPIC_API_KEY"),
        ("openai:gpt-5", "OPENAI_API_KEY"),
        ("groq:llama", "install the `groq` package"),
        ("nobody:llama", "knows no provider 'nobody'"),
    ],
)
async def test_a_provider_without_what_it_needs_is_not_asked_and_the_log_says_what(
    model: str, says: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Runner(tmp_path, model) as runner:
        run = await runner.run()
    assert run.error is not None
    assert str(run.error) == f"The model '{model}' is not set up here."
    assert f"The model '{model}' is not set up: " in caplog.text
    assert says in caplog.text


@pytest.mark.parametrize(
    ("model", "address"),
    [
        ("openai:qwen3", "OPENAI_BASE_URL"),
        ("openai-chat:qwen3", "OPENAI_BASE_URL"),
        ("ollama:qwen3", "OLLAMA_BASE_URL"),
        ("vllm:qwen3", "VLLM_BASE_URL"),
        ("litellm:qwen3", "OPENAI_BASE_URL"),
    ],
)
async def test_without_a_key_none_is_made_up(
    model: str,
    address: str,
    served: OpenAiCompatibleServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(address, served.environment["OPENAI_BASE_URL"])
    served.script(ChatReply(SAID))
    async with Runner(tmp_path, model) as runner:
        run = await runner.run()
    assert (run.error, run.text) == (None, "It is ")
    assert "authorization" not in served.requests[0].headers
    assert "not-set" not in str(served.requests[0].headers)


async def test_a_header_that_the_agents_file_sets_is_sent_without_a_key_too(
    served: OpenAiCompatibleServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", served.environment["OPENAI_BASE_URL"])
    served.script(ChatReply(SAID))
    more = "model_settings: {extra_headers: {Authorization: Basic eDp5}}\n"
    async with Runner(tmp_path, "openai:qwen3", more) as runner:
        await runner.run()
    assert served.requests[0].headers["authorization"] == "Basic eDp5"
