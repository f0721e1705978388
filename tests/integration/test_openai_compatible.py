"""Runs on what serves OpenAI's chat completions, such as Ollama or vLLM."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.models.openai import OpenAIResponsesModel

from agent_catalog.models.factory import create_model
from agent_catalog.models.guarded import GuardedModel
from agentrun.causes import described, first_cause, in_full, plain_text
from agentrun.domain.errors import EngineError
from agentrun.domain.events import ContentDelta, Metrics, ReasoningDelta, ToolEnd, ToolStart
from tests.bedrock import (
    Cut,
    EndOfStream,
    Hold,
    RawToolUse,
    Reasoning,
    StreamException,
    Text,
    ToolUse,
)
from tests.bedrock.engine_run import Runner
from tests.openai_compatible import (
    ChatError,
    ChatReply,
    OpenAiCompatibleServer,
    Reporting,
    openai_compatible_server,
)

pytestmark = pytest.mark.anyio

MODEL = "openai:qwen3:8b"
SEEN_WITHIN_S = 1.0
SAID = Text("It ", "is ")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Any:
    with openai_compatible_server() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AGENTRUN_MODEL_IDLE_TIMEOUT_S", "5")
        yield server
        assert server.refused == []


@pytest.fixture
async def runner(server: OpenAiCompatibleServer, tmp_path: Path) -> AsyncIterator[Runner]:
    async with Runner(tmp_path, MODEL) as runner:
        yield runner


async def test_a_run_says_what_the_model_streams(
    server: OpenAiCompatibleServer, runner: Runner
) -> None:
    server.script(
        ChatReply(
            Reasoning("Let me", " add."),
            ToolUse("t1", "add", {"left": 1, "right": 2}),
            ToolUse("t2", "whose", {}),
        ),
        ChatReply(Text("It is ", "3.")),
    )
    run = await runner.run()
    assert run.error is None
    # Tools that run at once end in any order.
    run.events[4:6] = sorted(run.events[4:6], key=lambda event: event.id)
    assert run.events == [
        ReasoningDelta(text="Let me"),
        ReasoningDelta(text=" add."),
        ToolStart(id="t1", name="add", arguments={"left": 1, "right": 2}),
        ToolStart(id="t2", name="whose", arguments={}),
        ToolEnd(id="t1", name="add", result=3),
        ToolEnd(id="t2", name="whose", result="hello acme/ana/session-1"),
        ContentDelta(text="It is "),
        ContentDelta(text="3."),
    ]
    assert run.metrics == Metrics(
        input_tokens=60, output_tokens=14, total_tokens=74, llm_calls=2, model=MODEL
    )


@pytest.mark.parametrize(
    ("usage", "counted"),
    [("running", (30, 3)), ("at the end", (30, 7)), ("never", (None, None))],
)
async def test_an_answers_tokens_count_once_however_often_they_are_told(
    server: OpenAiCompatibleServer,
    runner: Runner,
    usage: Reporting,
    counted: tuple[int | None, int | None],
) -> None:
    server.script(ChatReply(Text("one ", "two ", "three"), usage=usage))
    run = await runner.run()
    assert run.error is None
    assert (run.metrics.input_tokens, run.metrics.output_tokens) == counted
    assert "continuous_usage_stats" not in server.requests[0].body["stream_options"]


async def test_an_answer_that_breaks_off_has_used_what_was_told_last(
    server: OpenAiCompatibleServer, runner: Runner
) -> None:
    broken = ChatReply(Text("one ", "two "), Cut(), usage="running")
    server.script(broken, ChatReply(SAID))
    run = await runner.run()
    assert run.error is None
    assert (run.metrics.input_tokens, run.metrics.output_tokens) == (60, 9)


async def test_a_server_gets_its_models_name_the_key_and_what_every_server_knows(
    server: OpenAiCompatibleServer, runner: Runner
) -> None:
    server.script(ChatReply(SAID))
    await runner.run(message="hello")
    (request,) = server.requests
    assert request.headers["authorization"] == "Bearer sk-test"
    assert request.body["model"] == "qwen3:8b"
    assert request.body["stream_options"] == {"include_usage": True}
    assert request.body["messages"][-1] == {"role": "user", "content": "hello"}
    assert not [tool for tool in request.body["tools"] if "strict" in tool["function"]]


async def test_half_characters_are_joined_and_go_back_whole(
    server: OpenAiCompatibleServer, runner: Runner
) -> None:
    halves = ("hi \ud83d", "\ude00 there\ud83d")
    call = RawToolUse("t1", "whose", '{"greeting": "\ud83d', '\ude00"}')
    server.script(ChatReply(Reasoning(*halves), Text(*halves), call), ChatReply(SAID))
    run = await runner.run()
    assert run.error is None
    for kind in (ReasoningDelta, ContentDelta):
        texts = [event.text for event in run.events if isinstance(event, kind)]
        assert "".join(texts).removesuffix("It is ") == "hi \U0001f600 there\ufffd"
    answer = server.requests[1].body["messages"][-2]
    assert answer["content"] == "hi \U0001f600 there\ufffd"
    assert answer["tool_calls"][0]["function"]["arguments"] == '{"greeting":"\U0001f600"}'


async def test_ids_that_a_server_repeats_or_leaves_out_tell_its_calls_apart(
    server: OpenAiCompatibleServer, runner: Runner
) -> None:
    add = ToolUse("functions.add:0", "add", {"left": 1, "right": 2})
    server.script(
        ChatReply(add, add), ChatReply(add), ChatReply(ToolUse("", "whose", {})), ChatReply(SAID)
    )
    run = await runner.run()
    assert run.error is None
    started = [event.id for event in run.events if isinstance(event, ToolStart)]
    assert started[:3] == [f"functions.add:{number}" for number in range(3)]
    assert len(set(started)) == 4
    assert all(started)
    calls = [
        call["id"]
        for message in server.requests[-1].body["messages"]
        for call in message.get("tool_calls", [])
    ]
    assert calls == started


async def test_calls_of_tools_that_are_gone_are_told_as_text(
    server: OpenAiCompatibleServer, tmp_path: Path
) -> None:
    server.script(ChatReply(ToolUse("t1", "gone", {})), ChatReply(SAID))
    async with Runner(tmp_path, MODEL, agent="name: Bare\ndescription: Bare.\n") as bare:
        run = await bare.run()
    assert run.error is None
    assert [event.event for event in run.events[:2]] == ["TOOL_START", "TOOL_ERROR"]
    assert "tools" not in server.requests[1].body
    assert [message["role"] for message in server.requests[1].body["messages"]] == ["user", "user"]


@pytest.mark.parametrize(
    ("answer", "error_type", "said"),
    [
        (ChatError(400), "MODEL_ERROR", ""),
        (ChatError(400, "context_length_exceeded"), "MODEL_ERROR", ""),
        (ChatError(401, "invalid_api_key"), "MODEL_ERROR", ""),
        (ChatError(404, "model_not_found"), "MODEL_ERROR", ""),
        (ChatReply(SAID, finish="content_filter"), "CONTENT_FILTERED", "It is "),
        (ChatReply(Reasoning("Hm"), finish="length"), "MAX_TOKENS", ""),
        (ChatReply(SAID, finish="length"), None, "It is "),
    ],
    ids=str,
)
async def test_a_failure_of_the_model_is_one_error_and_nothing_is_asked_again(
    server: OpenAiCompatibleServer,
    runner: Runner,
    answer: ChatReply | ChatError,
    error_type: str | None,
    said: str,
) -> None:
    server.script(answer)
    server.always(ChatReply(SAID))
    run = await runner.run()
    assert run.text == said
    assert (run.error and run.error.error_type) == error_type
    assert "7d1e" not in str(run.error)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "error_type"),
    [
        (ChatReply(SAID, Cut()), "MODEL_ERROR"),
        (ChatReply(SAID, EndOfStream()), "MODEL_ERROR"),
        (ChatReply(SAID, StreamException("rate_limit_exceeded")), "MODEL_THROTTLED"),
        (ChatReply(SAID, StreamException("server_error")), "MODEL_ERROR"),
    ],
    ids=str,
)
@pytest.mark.parametrize("times", [1, 2, 3])
async def test_an_answer_that_breaks_off_is_asked_for_again_twice_at_most(
    server: OpenAiCompatibleServer, runner: Runner, answer: ChatReply, error_type: str, times: int
) -> None:
    server.script(*[answer] * times)
    server.always(ChatReply(SAID))
    run = await runner.run()
    assert run.text == "It is "
    assert run.voided == min(times, 2)
    assert len(server.requests) == min(times + 1, 3)
    assert (run.error and run.error.error_type) == (error_type if times == 3 else None)


async def test_a_throttled_model_surfaces_within_seconds(
    server: OpenAiCompatibleServer, runner: Runner
) -> None:
    server.always(ChatError(429))
    async with asyncio.timeout(5):
        run = await runner.run()
    assert run.error is not None
    assert run.error.error_type == "MODEL_THROTTLED"
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "stall", [ChatReply(Hold()), ChatReply(SAID, Hold())], ids=["at once", "in mid-stream"]
)
async def test_a_stall_times_out_and_closes_its_connection(
    server: OpenAiCompatibleServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stall: ChatReply,
) -> None:
    server.script(ChatReply(SAID))
    server.always(stall)
    # The first run loads what the package loads late, which may take longer than the time-out.
    async with Runner(tmp_path, MODEL) as runner:
        await runner.run()
    monkeypatch.setenv("AGENTRUN_MODEL_IDLE_TIMEOUT_S", "2")
    async with Runner(tmp_path, MODEL) as runner:
        run = await runner.run()
    assert run.error is not None
    assert run.error.error_type == "MODEL_TIMEOUT"
    assert await asyncio.to_thread(server.requests[-1].closed.wait, SEEN_WITHIN_S)


@pytest.mark.parametrize(
    "stall",
    [ChatReply(Hold()), ChatReply(SAID, Hold())],
    ids=["from the start", "in mid-stream"],
)
async def test_cancelling_a_stalled_run_closes_its_connection(
    server: OpenAiCompatibleServer, runner: Runner, stall: ChatReply
) -> None:
    server.script(stall)

    async def read() -> None:
        async for _ in runner.start():
            pass

    reader = asyncio.create_task(read())
    (request,) = await asyncio.to_thread(server.wait_for_requests, 1)
    reader.cancel()
    async with asyncio.timeout(SEEN_WITHIN_S):
        with pytest.raises(asyncio.CancelledError):
            await reader
    assert await asyncio.to_thread(request.closed.wait, SEEN_WITHIN_S)


async def test_without_a_base_url_it_is_openais_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    model = create_model("openai:gpt-5")
    assert isinstance(model, GuardedModel)
    assert isinstance(model.wrapped, OpenAIResponsesModel)
    assert model.base_url == "https://api.openai.com/v1/"


async def test_without_a_base_url_and_a_key_it_is_not_set_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(EngineError, match="is not set up here"):
        create_model("openai:gpt-5")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (ChatError(400, "context_length_exceeded"), "status 400, code context_length_exceeded"),
        (ChatError(422), "status 422"),
    ],
)
async def test_a_refusal_is_explained_to_the_log_without_what_it_may_quote(
    server: OpenAiCompatibleServer, runner: Runner, answer: ChatError, said: str
) -> None:
    server.script(answer)
    run = await runner.run()
    assert run.error is not None
    assert run.error.__cause__ is not None
    assert first_cause(run.error.__cause__, plain_text).startswith("openai.")
    assert f"Error: {said}" in first_cause(run.error.__cause__, plain_text)
    assert "7d1e" not in described(run.error.__cause__)
    assert "req_7d1e" in in_full(run.error.__cause__)
