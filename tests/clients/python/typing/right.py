"""What callers may write, with the types that they get; checkers read this, and nobody runs it."""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import assert_never, assert_type

from agentrun_client import (
    Agent,
    AsyncClient,
    AsyncRunStream,
    Budget,
    Cancelled,
    Client,
    ContentDelta,
    Decision,
    Failed,
    JsonValue,
    Media,
    Metrics,
    Paused,
    QueuedRun,
    ReasoningDelta,
    Run,
    RunEvent,
    RunOptions,
    RunResult,
    RunStatus,
    RunStream,
    Session,
    Start,
    StartOptions,
    StepReset,
    Stop,
    StreamTicket,
    ToolEnd,
    ToolError,
    ToolStart,
    UnknownEvent,
    Webhook,
    approve,
    reject,
)


def tell(event: RunEvent) -> str:  # noqa: C901, PLR0911 - one for each event
    """Match every event; a new one in the union would be an error here."""
    match event:
        case Start():
            return event.run_id
        case ReasoningDelta(text=text) | ContentDelta(text=text):
            return assert_type(text, str)
        case ToolStart():
            assert_type(event.arguments, JsonValue)
            return event.name
        case ToolEnd() | ToolError():
            return event.call_id
        case StepReset(to_event_id=to_event_id):
            return str(assert_type(to_event_id, int))
        case Metrics():
            return str(assert_type(event.cost_usd, float | None))
        case Stop():
            return str(assert_type(event.followups, tuple[str, ...] | None))
        case Failed():
            return event.message
        case Paused():
            return event.required_action.approvals[0].tool_name
        case Cancelled():
            return event.reason
        case UnknownEvent():
            return event.event
        case _:
            assert_never(event)


def tell_by_name(event: RunEvent) -> str:
    """Tell events apart by their name as well."""
    return event.text if event.event == "CONTENT_DELTA" and isinstance(event, ContentDelta) else ""


def blocking(client: Client) -> None:
    """Use the client whose calls block."""
    stream = assert_type(client.runs.stream("a", "m", generate_followups=True), RunStream)
    with stream as entered:
        assert_type(entered, RunStream)
        for event in entered:
            assert_type(event, RunEvent)
            assert_type(event.id, int)
            assert_type(event.timestamp, int)
    assert_type(stream.run_id, str | None)
    assert_type(stream.text(), str)
    assert_type(stream.result(), RunResult)
    assert_type(client.runs.attach("a", "r", after=3), RunStream)
    assert_type(client.runs.create("a", "m", options=RunOptions(max_cost_usd=1)), RunResult)
    assert_type(client.runs.background("a", "m", webhook=Webhook("u", ["run.failed"])), QueuedRun)
    assert_type(client.runs.get_many("a", ["r"], fields="summary"), dict[str, Run])
    assert_type(client.runs.wait_all("a", ["r"], on_update=print, timeout=1), dict[str, Run])
    assert_type(client.runs.list(status="PAUSED"), Iterator[Run])
    assert_type(client.runs.get("r").status, RunStatus)
    assert_type(client.runs.stream_ticket("a", "r"), StreamTicket)
    assert_type(client.sessions.list(), Iterator[Session])
    assert_type(client.agents.list(), Sequence[Agent])
    assert_type(client.health(), str)


def deciding(client: Client) -> None:
    """Decide in each of the ways there are."""
    client.runs.resume("a", "r", approve())
    client.runs.resume("a", "r", reject("No."))
    client.runs.resume("a", "r", approve(), budget=Budget(max_total_tokens=9))
    client.runs.resume("a", "r", [Decision("c", "APPROVE", arguments={"n": 1}, result=None)])
    assert_type(client.approvals.resolve("p", reject()), Run)


def starting(client: Client) -> None:
    """Collect options first."""
    options: StartOptions = {"session_id": "s", "media": [Media.from_bytes(b"", "image/png")]}
    client.runs.stream("a", "m", cancel_on_exit=True, **options)


def token() -> str:
    """Return a token."""
    return ""


async def awaited_token() -> str:
    """Return a token, later."""
    return ""


async def awaited() -> None:
    """Use the client whose calls are awaited."""
    Client("u", token)
    AsyncClient("u", token)
    async with AsyncClient("u", awaited_token) as client:
        stream = assert_type(client.runs.stream("a", "m"), AsyncRunStream)
        async with stream:
            async for event in stream:
                assert_type(event, RunEvent)
        assert_type(await stream.text(), str)
        assert_type(await client.runs.create("a", "m"), RunResult)
        assert_type(client.runs.list(), AsyncIterator[Run])
        assert_type(await client.runs.wait_all("a", ["r"]), dict[str, Run])
        assert_type(await client.agents.list(), Sequence[Agent])
