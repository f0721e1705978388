"""The Python client against the local stack: what its README shows, and executors that die."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from agentrun_client import (
    AsyncClient,
    Client,
    ConflictError,
    ContentDelta,
    NotFoundError,
    RunCancelledError,
    RunPausedError,
    Start,
    StartOptions,
    StepReset,
    ToolEnd,
    ToolError,
    ToolStart,
    approve,
    reject,
)
from agentrun_client.events import RunEvent
from tests.documented import ROOT, blocks_of
from tests.e2e.conftest import wait_until
from tests.endurance.stack import AGENT, EnduranceStack, endurance_stack

README = ROOT / "clients/python/README.md"
REJECTED = "The call was rejected: Too much."
ORDER = "Buy 1 shares of AMZN"
LOST_IN_A_TOOL = '/call look {"step": 1, "before_s": 0, "after_s": 4}'


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnduranceStack]:
    scratch = tmp_path_factory.mktemp("python_client")
    with endurance_stack(scratch, variables={"AGENTRUN_DEMO_DELAY_MS": "20"}) as stack:
        yield stack


@pytest.fixture(scope="module")
def client(stack: EnduranceStack) -> Iterator[Client]:
    """Return a client that streams through the Function URL; the README's uses one door for all."""
    local = stack.local
    with Client(local.rest_api, local.token, stream_url=local.function_url) as client:
        yield client


def test_a_chat_with_a_tool_is_told_and_recorded(client: Client) -> None:
    stream = client.runs.stream("analyst", "What is 17 * 23?")
    events = list(stream)
    assert [type(event) for event in events if isinstance(event, ToolStart | ToolEnd)] == [
        ToolStart,
        ToolEnd,
    ]
    assert stream.text() == "17 * 23 = 391"
    assert stream.run_id is not None
    run = client.runs.get(stream.run_id)
    assert (run.status, run.output) == ("COMPLETED", stream.text())
    assert client.runs.attach("analyst", run.id).result() == stream.result()
    assert client.runs.attach("analyst", run.id, after=10).result() == stream.result()
    answered = client.runs.create("analyst", "What is 17 * 23?")
    assert (answered.text, answered.tools) == (stream.text(), stream.result().tools)


def test_an_order_is_approved(client: Client) -> None:
    with pytest.raises(RunPausedError) as paused:
        client.runs.stream("finance_agent", ORDER).text()
    run_id = paused.value.run_id or ""
    waiting = {approval.run_id: approval for approval in client.approvals.pending()}
    assert waiting[run_id].approval_id == paused.value.required_action.approval_id
    stream = client.runs.resume("finance_agent", run_id, approve())
    assert [event.name for event in stream if isinstance(event, ToolEnd)] == ["place_order"]
    assert stream.text() == client.runs.get(run_id).output
    assert client.approvals.get(waiting[run_id].approval_id).status == "APPROVED"
    with pytest.raises(ConflictError):
        client.runs.resume("finance_agent", run_id, approve()).text()


def test_an_order_is_rejected(client: Client) -> None:
    run = client.runs.create("finance_agent", ORDER)
    assert run.status == "PAUSED"
    stream = client.runs.resume("finance_agent", run.run_id, reject("Too much."))
    assert [event.error for event in stream if isinstance(event, ToolError)] == [REJECTED]
    assert stream.result().status == "COMPLETED"


def test_a_run_is_cancelled_when_its_reader_leaves(client: Client) -> None:
    with client.runs.stream("echo", "/emit 500 every 20", cancel_on_exit=True) as stream:
        assert next(event for event in stream if isinstance(event, ContentDelta))
    assert stream.run_id is not None
    assert client.runs.wait("echo", stream.run_id, poll_every=0.2).status == "CANCELLED"
    with pytest.raises(RunCancelledError):
        client.runs.attach("echo", stream.run_id).text()


def test_runs_in_the_background_are_waited_for_and_listed(client: Client) -> None:
    session_id = str(uuid4())
    options: StartOptions = {"session_policy": "enqueue", "session_id": session_id}
    ids = [client.runs.background("echo", word, **options).run_id for word in ("a", "b")]
    runs = client.runs.wait_all("echo", ids, poll_every=0.2, timeout=60)
    assert [runs[run_id].output for run_id in ids] == ["a", "b"]
    assert {run.id for run in client.runs.list(session_id=session_id)} == set(ids)
    assert session_id in {session.id for session in client.sessions.list(agent_id="echo")}
    said = [(message.role, message.content) for message in client.sessions.messages(session_id)]
    assert said == [("user", "a"), ("assistant", "a"), ("user", "b"), ("assistant", "b")]
    client.sessions.delete(session_id)
    with pytest.raises(NotFoundError):
        client.sessions.get(session_id)


def test_readers_notice_nothing_of_an_executor_that_is_killed(stack: EnduranceStack) -> None:
    # Both at the same time: each waits for a lease of 15 s to run out.
    with ThreadPoolExecutor() as places:
        blocking = places.submit(read, stack)
        awaited = places.submit(lambda: asyncio.run(read_awaited(stack)))
        for events, text in (blocking.result(), awaited.result()):
            assert [type(event) for event in events].count(StepReset) == 1
            assert isinstance(events[0], Start)
            run = stack.now(events[0].run_id)
            assert (run.status, run.attempt, run.output) == ("COMPLETED", 2, text)
            assert text


def read(stack: EnduranceStack) -> tuple[list[RunEvent], str]:
    session_id, events = str(uuid4()), []
    with Client(stack.local.rest_api, stack.local.token) as client:
        stream = client.runs.stream(AGENT, LOST_IN_A_TOOL, session_id=session_id)
        for event in stream:
            events.append(event)
            kill_first_executor(stack, stream.run_id or "", session_id, events)
        return events, stream.text()


async def read_awaited(stack: EnduranceStack) -> tuple[list[RunEvent], str]:
    session_id, events = str(uuid4()), []
    async with AsyncClient(stack.local.rest_api, stack.local.token) as client:
        stream = client.runs.stream(AGENT, LOST_IN_A_TOOL, session_id=session_id)
        async for event in stream:
            events.append(event)
            kill_first_executor(stack, stream.run_id or "", session_id, events)
        return events, await stream.text()


def kill_first_executor(
    stack: EnduranceStack, run_id: str, session_id: str, events: list[RunEvent]
) -> None:
    """Kill it once the first tool that was begun has had its effect."""
    begun = [event for event in events if isinstance(event, ToolStart)]
    if begun == events[-1:]:
        wait_until(lambda: bool(stack.effects(run_id)), "the tool has had its effect")
        assert stack.kill(session_id)


def test_the_readme_does_what_it_shows(
    stack: EnduranceStack, capsys: pytest.CaptureFixture[str]
) -> None:
    said: dict[str, object] = {"__name__": "readme"}
    for block in blocks_of(README, "python"):
        program = block.text.replace("https://api.example", stack.local.rest_api)
        program = program.replace("eyJ…", stack.local.token()).replace('\\n…"', '\\n"')
        exec(compile(program, str(README), "exec"), said)  # noqa: S102 - the page's own
        printed = capsys.readouterr().out
        assert printed, block.text
    assert isinstance(said["client"], Client)
    said["client"].close()
