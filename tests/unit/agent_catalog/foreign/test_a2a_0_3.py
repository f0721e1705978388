"""Agents behind version 0.3 of the Agent2Agent protocol, and cards that say which version it is."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_catalog.foreign.a2a_card import interface_in
from agent_catalog.foreign.a2a_versions import V0_3, V1
from agentrun.domain.errors import EngineError
from agentrun.domain.events import ContentDelta, Metrics, ReasoningDelta
from agentrun.domain.media import LoadedMedia
from agentrun.domain.ports import CANCEL_REQUESTED
from agentrun.domain.steps import Answered, StepContent
from tests.bedrock import Cut, Hold
from tests.fakes.a2a_server import CONTEXT, TASK, Events, Result, RpcError
from tests.fakes.a2a_server_0_3 import (
    CARD_PATH,
    A2aServer03,
    a2a_server_0_3,
    artifact,
    message,
    status,
    task,
)
from tests.unit.agent_catalog.foreign.remote_agent import Rig, attached_to

pytestmark = pytest.mark.anyio

SEND, GET, SUBSCRIBE, CANCEL = "message/stream", "tasks/get", "tasks/resubscribe", "tasks/cancel"
UNKNOWN_HERE = "SendStreamingMessage"
DONE = status("completed")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[A2aServer03]:
    with a2a_server_0_3() as server:
        monkeypatch.setenv("REMOTE_KEY", "sk-remote")
        monkeypatch.setenv("AGENTRUN_MODEL_IDLE_TIMEOUT_S", "5")
        yield server
        assert server.refused == []


@pytest.fixture
def rig(tmp_path: Path, server: A2aServer03) -> Rig:
    return Rig(tmp_path, server.url + CARD_PATH)


async def test_a_run_says_what_the_task_gives(server: A2aServer03, rig: Rig) -> None:
    more = artifact("is 3.", append=True)
    working = status("working", "Looking it up.")
    server.script(Events(task(), working, artifact("It "), more, artifact("Bye.", name="b"), DONE))
    await rig.run()
    assert rig.events == [
        ReasoningDelta(text="Looking it up."),
        ContentDelta(text="It "),
        ContentDelta(text="is 3."),
        ContentDelta(text="\n\nBye."),
        Metrics(model="endpoint:a2a"),
    ]
    assert server.methods == [CARD_PATH, SEND]
    assert [asked.headers["authorization"] for asked in server.requests] == ["Bearer sk-remote"] * 2
    assert server.requests[1].body["params"]["message"] == {
        "kind": "message",
        "messageId": "run-1",
        "role": "user",
        "parts": [{"kind": "text", "text": "go"}],
    }


@pytest.mark.parametrize(
    "events",
    [
        [message("Plain.")],
        [task(), status("completed", "Plain.")],
        [task("completed", said="Plain.")],
        [task(), artifact("Plain."), status("completed", "Plain.")],
    ],
    ids=["a message", "in the status", "at once", "twice"],
)
async def test_an_answer_may_come_in_several_forms(
    server: A2aServer03, rig: Rig, events: list[Any]
) -> None:
    server.script(Events(*events))
    assert await rig.turn("go") == "Plain."


async def test_results_that_are_no_text_are_shown(server: A2aServer03, rig: Rig) -> None:
    by_address = {"kind": "file", "file": {"uri": "https://x.example/y", "mimeType": "image/png"}}
    inline = {"kind": "file", "file": {"bytes": "iVBORw==", "mimeType": "image/png"}}
    values = {"kind": "data", "data": {"a": 1}}
    server.script(Events(task(), artifact(values, " ", by_address, " ", inline), DONE))
    assert await rig.turn("go") == '{"a":1} https://x.example/y [image/png]'


async def test_media_go_with_the_message(server: A2aServer03, tmp_path: Path) -> None:
    server.script(Events(message("ok")))
    rig = Rig(tmp_path, server.url + CARD_PATH, "media: [image/png]\n")
    await rig.run(media=(LoadedMedia(type="image/png", data=b"\x89PNG"),))
    file = {"bytes": "iVBORw==", "mimeType": "image/png"}
    assert server.requests[1].body["params"]["message"]["parts"] == [
        {"kind": "text", "text": "go"},
        {"kind": "file", "file": file},
    ]


async def test_a_task_that_asks_goes_on_with_the_next_message(
    server: A2aServer03, rig: Rig
) -> None:
    asks = status("input-required", "Which one?")
    server.script(
        Events(task(), artifact("Two found."), asks),
        Events(artifact(" Red it is.", append=True), DONE),
        Events(message("ok")),
    )
    assert await rig.turn("Find it") == "Two found.\n\nWhich one?"
    assert await rig.turn("The red one") == " Red it is."
    await rig.turn("Thanks")
    first, second, third = [r.body["params"]["message"] for r in server.requests[1::2]]
    assert ("contextId" in first, second["contextId"], third["contextId"]) == (
        False,
        CONTEXT,
        CONTEXT,
    )
    assert (second["taskId"], "taskId" in third) == (TASK, False)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("failed", "has failed"),
        ("rejected", "has refused"),
        ("canceled", "was cancelled at"),
        ("auth-required", "an authorization"),
    ],
)
async def test_a_task_that_fails_is_one_error(
    server: A2aServer03, rig: Rig, state: str, said: str
) -> None:
    server.script(Events(task(), status(state, "hunter2")))
    with pytest.raises(EngineError, match=said) as caught:
        await rig.run()
    assert "hunter2" not in str(caught.value)
    assert server.methods.count(SEND) == 1


async def test_what_was_said_between_two_streams_is_neither_lost_nor_doubled(
    server: A2aServer03, rig: Rig
) -> None:
    server.script(
        Events(task(), artifact("It "), Cut()),
        Result(task("working", "It ")),
        # "is " was said before the stream was attached to.
        Events(artifact("3.", append=True), DONE),
        Result(task("completed", "It is 3.")),
    )
    assert await rig.turn("go") == "It is 3."
    assert server.methods == [CARD_PATH, SEND, GET, SUBSCRIBE, GET]


async def test_a_task_that_settles_meanwhile_is_read(server: A2aServer03, rig: Rig) -> None:
    server.script(
        Events(task(), Cut()),
        Result(task("working")),
        RpcError(-32002),
        Result(task("completed", "It is 3.")),
    )
    assert await rig.turn("go") == "It is 3."


async def test_a_task_is_cancelled_with_its_run(server: A2aServer03, rig: Rig) -> None:
    server.script(Events(task(), Hold()), Result(task("canceled")))
    said = threading.Event()

    async def keep(content: StepContent) -> None:
        if isinstance(content, Answered):
            said.set()

    run = asyncio.create_task(rig.run(keeping=keep))
    await asyncio.to_thread(said.wait, 5)
    run.cancel(CANCEL_REQUESTED)
    with pytest.raises(asyncio.CancelledError):
        await run
    assert server.methods == [CARD_PATH, SEND, CANCEL]


async def test_the_message_counts_as_sent_only_once_the_card_is_read(
    server: A2aServer03, rig: Rig
) -> None:
    server.script(Events(task(), artifact("ok"), DONE))
    asked: list[int] = []

    async def keep(_: StepContent) -> None:
        asked.append(len(server.requests))

    await rig.run(keeping=keep)
    assert asked == [1, 2]


async def test_without_a_card_a_server_that_does_not_know_1_0_is_asked_in_0_3(
    server: A2aServer03, tmp_path: Path
) -> None:
    rig = Rig(tmp_path, f"{server.url}/rpc")
    server.script(Events(task(), artifact("It "), Cut()), Result(task("completed", "It is 3.")))
    assert await rig.turn("go") == "It is 3."
    assert server.methods == [UNKNOWN_HERE, SEND, GET]


async def test_another_executor_finds_the_version_itself(
    server: A2aServer03, tmp_path: Path
) -> None:
    rig = Rig(tmp_path, f"{server.url}/rpc")
    server.script(Result(task("completed", "It is 3.")))
    await rig.run(steps=attached_to())
    assert rig.text == "It is 3."
    assert server.methods == ["GetTask", GET]


async def test_a_server_that_knows_neither_is_an_error(server: A2aServer03, tmp_path: Path) -> None:
    rig = Rig(tmp_path, f"{server.url}/rpc")
    server.script(RpcError(-32601))
    with pytest.raises(EngineError, match="The model has failed"):
        await rig.run()
    assert server.methods == [UNKNOWN_HERE, SEND]


def interface(url: str, binding: str, version: str) -> dict[str, str]:
    return {"url": url, "protocolBinding": binding, "protocolVersion": version}


def test_of_a_cards_interfaces_the_newest_that_is_spoken_is_asked() -> None:
    at = "https://agency.example/.well-known/agent-card.json"
    older = interface("/old", "JSONRPC", "0.3")
    newest = interface("https://agency.example/new", "JSONRPC", "1.1")
    others = [interface("/grpc", "GRPC", "1.0"), interface("/next", "JSONRPC", "2.0")]
    both = json.dumps({"supportedInterfaces": [older, *others, newest]})
    assert interface_in(both.encode(), at) == ("https://agency.example/new", V1)
    one = json.dumps({"supportedInterfaces": [*others, older]})
    assert interface_in(one.encode(), at) == ("https://agency.example/old", V0_3)


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ({"protocolVersion": "0.3.0", "url": "https://evil.example/rpc"}, "not set up"),
        ({"protocolVersion": "0.3.0", "url": "/rpc", "preferredTransport": "GRPC"}, "not set up"),
        ({"protocolVersion": "0.1", "url": "/rpc"}, "not set up"),
        ({"supportedInterfaces": "none"}, "cannot be used"),
    ],
    ids=["another host", "another transport", "another version", "no card"],
)
async def test_an_agent_whose_card_does_not_help_is_not_asked(
    server: A2aServer03, rig: Rig, card: dict[str, Any], said: str
) -> None:
    server.card = card
    with pytest.raises(EngineError, match=said):
        await rig.run()
    assert server.methods == [CARD_PATH]


async def test_an_additional_interface_will_do(server: A2aServer03, rig: Rig) -> None:
    more = {"additionalInterfaces": [{"url": "/rpc", "transport": "JSONRPC"}]}
    server.card |= {"preferredTransport": "GRPC", **more}
    server.script(Events(message("Plain.")))
    assert await rig.turn("go") == "Plain."
    assert server.requests[1].path == "/rpc"
