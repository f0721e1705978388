"""Services of chat completions as agents, over sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from agent_catalog import load_catalog
from agent_catalog.catalog import CatalogError
from agentrun.domain.conversations import PastTurn
from agentrun.domain.events import ContentDelta, Metrics, ReasoningDelta
from agentrun.domain.media import LoadedMedia
from agentrun.domain.requests import RunOptions
from agentrun.domain.turns import TurnEnded
from tests.bedrock import Cut, EndOfStream, Hold, Reasoning, StreamException, Text, ToolUse
from tests.bedrock.engine_run import Runner
from tests.http_server import answering, send, served
from tests.openai_compatible import (
    ChatError,
    ChatReply,
    OpenAiCompatibleServer,
    openai_compatible_server,
)
from tests.runs import AT

pytestmark = pytest.mark.anyio

HEAD = "name: Remote\ndescription: Runs elsewhere.\n"
SAID = Text("It ", "is ")
SEEN_WITHIN_S = 1.0


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAiCompatibleServer]:
    with openai_compatible_server() as server:
        monkeypatch.setenv("REMOTE_KEY", "sk-remote")
        monkeypatch.setenv("AGENTRUN_MODEL_IDLE_TIMEOUT_S", "5")
        yield server
        assert server.refused == []


def agent_at(url: str, more: str = "") -> str:
    return f"{HEAD}endpoint: {{openai: '{url}', model: helper, secret: REMOTE_KEY}}\n{more}"


@pytest.fixture
async def runner(server: OpenAiCompatibleServer, tmp_path: Path) -> AsyncIterator[Runner]:
    async with Runner(tmp_path, "demo", agent=agent_at(f"{server.url}/v1")) as runner:
        yield runner


async def test_a_run_says_what_the_endpoint_streams(
    server: OpenAiCompatibleServer, runner: Runner
) -> None:
    server.script(ChatReply(Reasoning("Let me", " see."), Text("It is ", "3.")))
    run = await runner.run()
    assert run.error is None
    assert run.events == [
        ReasoningDelta(text="Let me"),
        ReasoningDelta(text=" see."),
        ContentDelta(text="It is "),
        ContentDelta(text="3."),
    ]
    figures = {"input_tokens": 30, "output_tokens": 7, "total_tokens": 37, "llm_calls": 1}
    assert run.metrics == Metrics(model="endpoint:helper", **figures)
    assert run.ending == TurnEnded()


async def test_it_is_sent_the_conversation_and_the_key_and_no_tools(
    server: OpenAiCompatibleServer, tmp_path: Path
) -> None:
    server.script(ChatReply(SAID))
    more = "instructions: Be terse.\nmodel_settings: {temperature: 0.1, stop_sequences: [END]}\n"
    past = PastTurn(run_id="r", input="One?", output="Two.", created_at=AT, updated_at=AT)
    agent = agent_at(f"{server.url}/v1/", more)
    async with Runner(tmp_path, "demo", agent=agent) as runner:
        await runner.run(message="Three?", history=(past,), options=RunOptions(max_tokens=99))
    (request,) = server.requests
    assert request.headers["authorization"] == "Bearer sk-remote"
    assert request.body == {
        "model": "helper",
        "messages": [
            {"role": "system", "content": "Be terse."},
            {"role": "user", "content": "One?"},
            {"role": "assistant", "content": "Two."},
            {"role": "user", "content": "Three?"},
        ],
        "temperature": 0.1,
        "stop": ["END"],
        "max_tokens": 99,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize("base", ["/v1?api-version=2024-10-21", "/v1/?api-version=2024-10-21"])
async def test_a_query_of_the_base_url_stays_behind_the_path(
    server: OpenAiCompatibleServer, tmp_path: Path, base: str
) -> None:
    server.script(ChatReply(SAID))
    async with Runner(tmp_path, "demo", agent=agent_at(f"{server.url}{base}")) as runner:
        assert (await runner.run()).error is None
    assert server.requests[0].path == "/v1/chat/completions?api-version=2024-10-21"


async def test_media_go_with_the_message(server: OpenAiCompatibleServer, tmp_path: Path) -> None:
    server.script(ChatReply(SAID))
    agent = agent_at(f"{server.url}/v1", "media: [image/png]\n")
    async with Runner(tmp_path, "demo", agent=agent) as runner:
        await runner.run(media=(LoadedMedia(type="image/png", data=b"\x89PNG"),))
    text, image = server.requests[0].body["messages"][0]["content"]
    assert text == {"type": "text", "text": "go"}
    assert image == {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}}


@pytest.mark.parametrize(
    ("answer", "error_type"),
    [
        (ChatError(400), "MODEL_ERROR"),
        (ChatError(401), "MODEL_ERROR"),
        (ChatError(429), "MODEL_THROTTLED"),
        (ChatError(429, "insufficient_quota"), "MODEL_QUOTA"),
        (ChatError(500), "MODEL_ERROR"),
        (ChatError(503), "MODEL_ERROR"),
        (ChatReply(SAID, Cut()), "MODEL_ERROR"),
        (ChatReply(SAID, EndOfStream()), "MODEL_ERROR"),
        (ChatReply(SAID, StreamException("rate_limit_exceeded")), "MODEL_THROTTLED"),
        (ChatReply(SAID, StreamException("server_error")), "MODEL_ERROR"),
        (ChatReply(SAID, finish="content_filter"), "CONTENT_FILTERED"),
        (ChatReply(Reasoning("Hm"), finish="length"), "MAX_TOKENS"),
        (ChatReply(ToolUse("t1", "add", {})), "MODEL_ERROR"),
    ],
    ids=str,
)
async def test_a_failure_is_one_error_and_nothing_is_asked_twice(
    server: OpenAiCompatibleServer, runner: Runner, answer: Any, error_type: str
) -> None:
    server.script(answer)
    server.always(ChatReply(SAID))
    run = await runner.run()
    assert run.error is not None
    assert run.error.error_type == error_type
    assert "7d1e" not in str(run.error)
    assert len(server.requests) == 1
    assert run.voided == 0


async def test_one_that_may_act_twice_is_asked_again(
    server: OpenAiCompatibleServer, tmp_path: Path
) -> None:
    server.script(ChatReply(SAID, Cut()), ChatReply(SAID))
    agent = agent_at(f"{server.url}/v1", "max_attempts: 2\n")
    async with Runner(tmp_path, "demo", agent=agent) as runner:
        run = await runner.run()
    assert (run.error, run.text, run.voided) == (None, "It is ", 1)


def test_by_default_a_run_is_never_taken_over(tmp_path: Path) -> None:
    for name, more in (("once", ""), ("often", "max_attempts: 4\n")):
        text = agent_at("https://agents.example.com/v1", more)
        (tmp_path / f"{name}.yaml").write_text(text)
    catalog = load_catalog("demo", tmp_path)
    assert catalog.agent("once").max_attempts == 1
    assert catalog.agent("often").max_attempts == 4
    assert catalog.agent("once").models == ("endpoint:helper",)


async def test_a_silent_endpoint_is_given_up_and_its_connection_closed(
    server: OpenAiCompatibleServer, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTRUN_MODEL_IDLE_TIMEOUT_S", "0.3")
    server.script(ChatReply(SAID, Hold()))
    run = await runner.run()
    assert run.error is not None
    assert run.error.error_type == "MODEL_TIMEOUT"
    assert await asyncio.to_thread(server.requests[0].closed.wait, SEEN_WITHIN_S)


@pytest.mark.parametrize(
    "stall", [ChatReply(Hold()), ChatReply(SAID, Hold())], ids=["at once", "in mid-stream"]
)
async def test_cancelling_a_run_closes_its_connection(
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


async def test_without_its_key_it_is_not_asked(
    server: OpenAiCompatibleServer,
    runner: Runner,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.delenv("REMOTE_KEY")
    run = await runner.run()
    assert run.error is not None
    assert "The key of the agent's endpoint is missing" in str(run.error)
    assert server.requests == []
    assert "the variable REMOTE_KEY is not set" in caplog.text


async def test_a_new_key_is_used_at_the_next_run(
    server: OpenAiCompatibleServer, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.always(ChatReply(SAID))
    await runner.run()
    monkeypatch.setenv("REMOTE_KEY", "sk-new")
    await runner.run()
    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer sk-remote", "Bearer sk-new"]


async def test_an_endpoint_that_acts_is_not_asked_for_follow_ups(
    server: OpenAiCompatibleServer, runner: Runner
) -> None:
    server.script(ChatReply(SAID))
    run = await runner.run(generate_followups=True)
    assert run.ending == TurnEnded(followups=())
    assert len(server.requests) == 1


async def test_another_model_may_suggest_them(
    server: OpenAiCompatibleServer, tmp_path: Path
) -> None:
    server.script(ChatReply(SAID))
    agent = agent_at(f"{server.url}/v1", "followup_model: demo\n")
    async with Runner(tmp_path, "demo", agent=agent) as runner:
        run = await runner.run(generate_followups=True)
    assert isinstance(run.ending, TurnEnded)
    assert len(run.ending.followups or ()) == 3


async def answered_by(folder: Path, status: int, kind: str, body: bytes) -> Any:
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        handler.rfile.read(int(handler.headers["content-length"]))
        send(handler, status, body, **{"Content-Type": kind, "Location": "/elsewhere"})

    with served(answering(answer)) as url:
        agent = f"{HEAD}endpoint: {{openai: '{url}/v1', model: helper}}\n"
        async with Runner(folder, "demo", agent=agent) as runner:
            run = await runner.run()
    assert asked == ["/v1/chat/completions"]
    return run


async def test_an_answer_that_is_not_streamed_is_taken_too(tmp_path: Path) -> None:
    choice = {"message": {"role": "assistant", "content": "Whole."}, "finish_reason": "stop"}
    body = json.dumps({"choices": [choice]}).encode()
    run = await answered_by(tmp_path, 200, "application/json", body)
    assert (run.error, run.text) == (None, "Whole.")
    assert run.metrics == Metrics(model="endpoint:helper", llm_calls=1)


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (200, "text/event-stream", b"data: {oops\n\n"),
        (200, "text/event-stream", b"data: [DONE]\n\n"),
        (200, "text/event-stream", b"data: " + b"x" * (5 * 1024 * 1024) + b"\n\n"),
        (200, "application/json", b"{}"),
        (200, "text/html", b"<p>Hello</p>"),
        (307, "text/plain", b""),
        (502, "text/html", b"<p>Bad gateway</p>"),
    ],
    ids=["not JSON", "empty", "too large", "no answer", "a page", "elsewhere", "no gateway"],
)
async def test_what_is_no_answer_is_an_error(
    tmp_path: Path, status: int, kind: str, body: bytes
) -> None:
    run = await answered_by(tmp_path, status, kind, body)
    assert run.error is not None
    assert run.error.error_type == "MODEL_ERROR"
    assert run.text == ""


async def test_one_that_cannot_be_reached_is_an_error(tmp_path: Path) -> None:
    agent = f"{HEAD}endpoint: {{openai: 'http://127.0.0.1:1/v1', model: helper}}\n"
    async with Runner(tmp_path, "demo", agent=agent) as runner:
        run = await runner.run()
    assert str(run.error) == "The connection to the model has failed; try again."


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ("endpoint: {model: m}", r"sample\.yaml:3: endpoint: must have exactly one of"),
        ("endpoint: {openai: 'http://a.example', model: m}", "must be https, or http on this"),
        ("endpoint: {openai: 'https://a.example', model: m, key: K}", "endpoint.key: there is no"),
        ("endpoint: {openai: 'https://a.example', model: m, secret: x y}", "endpoint.secret: "),
        (
            "endpoint: {openai: 'https://a.example', model: m}\ntools: ['tools.a:b']",
            r"sample\.yaml:4: tools: does not go with 'endpoint'; it is up to the service",
        ),
        (
            "endpoint: {openai: 'https://a.example', model: m}\nmodel: demo",
            r"sample\.yaml:4: model: does not go with 'endpoint'",
        ),
        (
            "endpoint: {openai: 'https://a.example', model: m}\nmodel_settings: {thinking: true}",
            r"sample\.yaml:4: model_settings\.thinking: is not passed on to an endpoint",
        ),
    ],
)
def test_faults_of_the_file_are_told_when_it_is_read(tmp_path: Path, more: str, fault: str) -> None:
    (tmp_path / "sample.yaml").write_text(f"{HEAD}{more}\n")
    with pytest.raises(CatalogError, match=fault):
        load_catalog("demo", tmp_path)
