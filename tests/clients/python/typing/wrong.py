"""
What callers may not write: each line is an error to both checkers.

They are told to ignore it, by its name, and to complain about whatever they need not ignore.
"""

from typing import assert_never

from agentrun_client import (
    AsyncClient,
    Client,
    ContentDelta,
    Decision,
    RunEvent,
    Start,
    Webhook,
    approve,
)


def forgets_events(event: RunEvent) -> None:
    """Leave most of the union out."""
    match event:
        case Start() | ContentDelta():
            pass
        case _:
            assert_never(event)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def takes_every_event_for_text(event: RunEvent) -> str:
    """Read what not every event has."""
    return event.text  # type: ignore[union-attr]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType, reportAttributeAccessIssue]


def changes_an_event(event: ContentDelta) -> None:
    """Write to what is frozen."""
    event.text = ""  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def misspells(client: Client) -> None:
    """Say what there is not."""
    client.runs.stream("a", "m", sesion_id="s")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.runs.stream("a", "m", session_policy="wait")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.runs.list(status="DONE")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.runs.get_many("a", ["r"], fields="all")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Webhook("u", ["run.started"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    Decision("c", "PERHAPS")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def decides_nothing(client: Client) -> None:
    """Leave the decision out, or take a text for one."""
    client.runs.resume("a", "r")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.runs.resume("a", "r", "APPROVE")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.approvals.resolve("p", approve)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def later() -> str:
    """Return a token, later."""
    return ""


def gives_what_must_be_awaited() -> None:
    """Pass the blocking client what it cannot await."""
    Client("u", later)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Client("u", 7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def forgets_to_await(client: AsyncClient) -> None:
    """Iterate without awaiting."""
    iter(client.runs.stream("a", "m"))  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
