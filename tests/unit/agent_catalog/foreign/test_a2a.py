"""Agents behind the Agent2Agent protocol, over sockets."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_catalog import load_catalog
from agent_catalog.catalog import CatalogError
from agentrun.domain.errors import CancelRequestedError, EngineError, HandedOverError
from agentrun.domain.events import ContentDelta, Metrics, PauseType, ReasoningDelta
from agentrun.domain.media import LoadedMedia
from agentrun.domain.ports import CANCEL_REQUESTED
from agentrun.domain.steps import Answered, Began, StepContent
from agentrun.domain.turns import TurnEnded, TurnPaused
from tests.bedrock import Cut, EndOfStream, Hold
from tests.fakes.a2a_server import (
    CONTEXT,
    TASK,
    A2aServer,
    Events,
    Result,
    RpcError,
    a2a_server,
    artifact,
    message,
    status,
    task,
)
from tests.unit.agent_catalog.foreign.remote_agent import Rig, attached_to

pytestmark = pytest.mark.anyio

SEND, GET, SUBSCRIBE, CANCEL = "SendStreamingMessage", "GetTask", "SubscribeToTask", "CancelTask"
BEGUN = {"task": task()}
WORKING = status("WORKING", "Looking it up.")
DONE = status("COMPLETED")
SEEN_WITHIN_S = 1.0


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[A2aServer]:
    with a2a_server() as server:
        monkeypatch.setenv("REMOTE_KEY", "sk-remote")
        monkeypatch.setenv("AGENTRUN_MODEL_IDLE_TIMEOUT_S", "5")
        yield server
        assert server.refused == []


@pytest.fixture
def rig(tmp_path: Path, server: A2aServer) -> Rig:
    return Rig(tmp_path, f"{server.url}/rpc")


async def test_a_run_says_what_the_task_gives(server: A2aServer, rig: Rig) -> None:
    more = artifact("is 3.", append=True)
    server.script(Events(BEGUN, WORKING, artifact("It "), more, artifact("Bye.", name="b"), DONE))
    ending = await rig.run()
    assert rig.events == [
        ReasoningDelta(text="Looking it up."),
        ContentDelta(text="It "),
        ContentDelta(text="is 3."),
        ContentDelta(text="\n\nBye."),
        Metrics(model="endpoint:a2a"),
    ]
    assert isinstance(ending, TurnEnded)
    (request,) = server.requests
    assert request.headers["authorization"] == "Bearer sk-remote"
    assert request.body["params"]["message"] == {
        "messageId": "run-1",
        "role": "ROLE_USER",
        "parts": [{"text": "go"}],
    }


@pytest.mark.parametrize(
    "events",
    [
        [message("Plain.")],
        [BEGUN, status("COMPLETED", "Plain.")],
        [{"task": task("COMPLETED", "Plain.")}],
        [BEGUN, artifact("Plain."), status("COMPLETED", "Plain.")],
    ],
    ids=["a message", "in the status", "at once", "twice"],
)
async def test_an_answer_may_come_in_several_forms(
    server: A2aServer, rig: Rig, events: list[Any]
) -> None:
    server.script(Events(*events))
    assert await rig.turn("go") == "Plain."


async def test_media_go_with_the_message(server: A2aServer, tmp_path: Path) -> None:
    server.script(Events(message("ok")))
    rig = Rig(tmp_path, f"{server.url}/rpc", "media: [image/png]\n")
    await rig.run(media=(LoadedMedia(type="image/png", data=b"\x89PNG"),))
    parts = server.requests[0].body["params"]["message"]["parts"]
    assert parts == [{"text": "go"}, {"raw": "iVBORw==", "mediaType": "image/png"}]


async def test_a_conversation_stays_in_its_context(server: A2aServer, rig: Rig) -> None:
    server.always(Events(BEGUN, artifact("ok"), DONE))
    await rig.turn("One")
    await rig.turn("Two")
    sent = [request.body["params"]["message"] for request in server.requests]
    assert ["contextId" in message for message in sent] == [False, True]
    assert sent[1]["contextId"] == CONTEXT
    assert "taskId" not in sent[1]


async def test_a_task_that_asks_goes_on_with_the_next_message(server: A2aServer, rig: Rig) -> None:
    asks = status("INPUT_REQUIRED", "Which one?")
    server.script(
        Events(BEGUN, artifact("Two found."), asks),
        Events({"task": task("WORKING", "Two found.")}, artifact(" Red it is.", append=True), DONE),
    )
    assert await rig.turn("Find it") == "Two found.\n\nWhich one?"
    assert await rig.turn("The red one") == " Red it is."
    assert server.requests[1].body["params"]["message"]["taskId"] == TASK


@pytest.mark.parametrize(
    ("answer", "said", "error_type"),
    [
        (Events(BEGUN, status("FAILED", "hunter2")), "has failed", "AGENT_ERROR"),
        (Events(BEGUN, status("REJECTED")), "has refused", "AGENT_ERROR"),
        (Events(BEGUN, status("CANCELED")), "was cancelled at", "AGENT_ERROR"),
        (Events(BEGUN, status("AUTH_REQUIRED")), "an authorization", "AGENT_ERROR"),
        (RpcError(-32603), "The model has failed", "MODEL_ERROR"),
        (Events(), "cannot be used", "MODEL_ERROR"),
        (Events({"task": {}}), "cannot be used", "MODEL_ERROR"),
        (Events(Cut()), "connection to the model has failed", "MODEL_ERROR"),
    ],
    ids=["failed", "rejected", "cancelled", "forbidden", "error", "empty", "unreadable", "cut"],
)
async def test_a_failure_is_one_error_and_nothing_is_sent_twice(
    server: A2aServer, rig: Rig, answer: Any, said: str, error_type: str
) -> None:
    server.script(answer)
    with pytest.raises(EngineError, match=said) as caught:
        await rig.run()
    assert caught.value.error_type == error_type
    assert "hunter2" not in str(caught.value)
    assert server.methods.count(SEND) == 1
    assert isinstance(rig.events[-1], Metrics)


@pytest.mark.parametrize("end", [Cut(), EndOfStream()], ids=["cut", "ended"])
async def test_a_stream_that_breaks_off_is_attached_to_again(
    server: A2aServer, rig: Rig, end: Any
) -> None:
    server.script(
        Events(BEGUN, artifact("It "), end),
        Result(task("WORKING", "It is ")),
        Events({"task": task("WORKING", "It is ")}, artifact("3.", append=True), DONE),
    )
    assert await rig.turn("go") == "It is 3."
    assert server.methods == [SEND, GET, SUBSCRIBE]


async def test_a_task_that_settles_meanwhile_is_read(server: A2aServer, rig: Rig) -> None:
    server.script(
        Events(BEGUN, Cut()),
        Result(task("WORKING")),
        RpcError(-32004),
        Result(task("COMPLETED", "It is 3.")),
    )
    assert await rig.turn("go") == "It is 3."
    assert server.methods == [SEND, GET, SUBSCRIBE, GET]


async def test_what_is_needed_to_go_on_is_kept_before_it_is_needed(
    server: A2aServer, rig: Rig
) -> None:
    server.script(Events(BEGUN, artifact("ok"), DONE))
    asked: list[int] = []

    async def keep(_: StepContent) -> None:
        asked.append(len(server.requests))

    await rig.run(keeping=keep)
    assert asked == [0, 1]
    assert rig.host.kept[0] == Began(acting=("message",))


async def test_another_executor_attaches_to_the_task(server: A2aServer, rig: Rig) -> None:
    server.script(
        Result(task("WORKING", "It ")),
        Events({"task": task("WORKING", "It ")}, artifact("is 3.", append=True), DONE),
    )
    await rig.run(steps=attached_to())
    assert rig.text == "It is 3."
    assert server.methods == [GET, SUBSCRIBE]


async def test_a_message_that_may_have_been_sent_is_not_sent_again(
    server: A2aServer, rig: Rig
) -> None:
    with pytest.raises(EngineError, match="Nobody knows whether"):
        await rig.run(steps=attached_to()[:1])
    assert server.requests == []


async def test_a_run_that_is_handed_over_leaves_its_task_alone(server: A2aServer, rig: Rig) -> None:
    server.script(Events(BEGUN, Hold()))

    async def keep(content: StepContent) -> None:
        if isinstance(content, Answered):
            raise HandedOverError

    with pytest.raises(HandedOverError):
        await rig.run(keeping=keep)
    assert server.methods == [SEND]


@pytest.mark.parametrize("is_asked_for", [True, False])
async def test_a_task_is_cancelled_with_its_run_alone(
    server: A2aServer, rig: Rig, is_asked_for: bool
) -> None:
    server.script(Events(BEGUN, Hold()), Result(task("CANCELED")))
    said = threading.Event()

    async def keep(content: StepContent) -> None:
        if isinstance(content, Answered):
            said.set()

    run = asyncio.create_task(rig.run(keeping=keep))
    await asyncio.to_thread(said.wait, 5)
    run.cancel(CANCEL_REQUESTED if is_asked_for else None)
    with pytest.raises(asyncio.CancelledError):
        await run
    assert await asyncio.to_thread(server.requests[0].closed.wait, SEEN_WITHIN_S)
    assert server.methods == [SEND, *([CANCEL] if is_asked_for else [])]


async def test_it_is_cancelled_too_where_the_host_says_so(server: A2aServer, rig: Rig) -> None:
    server.script(Events(BEGUN, Hold()), Result(task("CANCELED")))

    async def keep(content: StepContent) -> None:
        if isinstance(content, Answered):
            raise CancelRequestedError

    with pytest.raises(CancelRequestedError):
        await rig.run(keeping=keep)
    assert server.methods == [SEND, CANCEL]


async def test_a_silent_agent_is_given_up(
    server: A2aServer, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTRUN_MODEL_IDLE_TIMEOUT_S", "0.3")
    server.script(Events(BEGUN, Hold()))
    with pytest.raises(EngineError) as caught:
        await rig.run()
    assert caught.value.error_type == "MODEL_TIMEOUT"
    assert await asyncio.to_thread(server.requests[0].closed.wait, SEEN_WITHIN_S)


async def test_a_spent_budget_pauses_before_anything_is_sent(server: A2aServer, rig: Rig) -> None:
    paused = await rig.run(may_ask=lambda: False)
    assert isinstance(paused, TurnPaused)
    assert paused.type is PauseType.BUDGET
    assert server.requests == []


async def test_without_its_key_it_is_not_asked(
    server: A2aServer, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REMOTE_KEY")
    with pytest.raises(EngineError, match="The key of the agent's endpoint is missing"):
        await rig.run()
    assert server.requests == []


def test_a_run_is_taken_over_since_its_task_goes_on(rig: Rig) -> None:
    assert rig.agent.max_attempts == 3


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ("endpoint: {}", "endpoint: must have exactly one of openai and a2a"),
        ("endpoint: {a2a: 'https://a.example', model: m}", "endpoint: model: goes with openai"),
        ("endpoint: {a2a: 'http://a.example'}", "endpoint.a2a: must be https"),
        (
            "endpoint: {a2a: 'https://a.example'}\ninstructions: Be brief.",
            r"a\.yaml:4: instructions: does not go with 'endpoint'",
        ),
    ],
)
def test_faults_of_the_file_are_told_when_it_is_read(tmp_path: Path, more: str, fault: str) -> None:
    (tmp_path / "a.yaml").write_text(f"name: A\ndescription: B\n{more}\n")
    with pytest.raises(CatalogError, match=fault):
        load_catalog("demo", tmp_path)
