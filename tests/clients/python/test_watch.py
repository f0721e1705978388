"""Many runs are watched with few requests."""

import asyncio
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from agentrun_client import AsyncClient, Client, NotFoundError, Run, WaitTimeoutError
from tests.clients.python.instant import AsyncInstantClock, InstantClock
from tests.clients.python.recorded import AGENT
from tests.clients.python.stand_in import Asked, Reply, serving
from tests.clients.python.test_requests import RUN, answer

TEN = [f"run-{number}" for number in range(10)]
Status = Callable[[str], str | None]
"""Returns a run's status at this moment; None if there is no such run."""


def batches(status_of: Status) -> Callable[[Asked], Reply]:
    def respond(asked: Asked) -> Reply:
        query = parse_qs(urlsplit(asked.target).query)
        ids = query["runIds"][0].split(",") if "runIds" in query else [asked.path.split("/")[-1]]
        runs = [
            {**RUN, "id": each, "status": status} for each in ids if (status := status_of(each))
        ]
        return answer(runs if "runIds" in query else runs[0])

    return respond


def test_ten_runs_watched_for_a_minute_cost_twenty_requests() -> None:
    clock = InstantClock()

    def status_of(_: str) -> str:
        return "RUNNING" if clock.time_s < 57 else "COMPLETED"

    with serving(batches(status_of)) as server, Client(server.url, "t", clock=clock) as client:
        runs = client.runs.wait_all(AGENT, TEN)
    assert {run.status for run in runs.values()} == {"COMPLETED"}
    assert len(server.asked) == 20


def test_ten_runs_watched_by_an_awaited_client_cost_the_same() -> None:
    clock = AsyncInstantClock()

    def status_of(_: str) -> str:
        return "RUNNING" if clock.time_s < 57 else "COMPLETED"

    async def watch(url: str) -> dict[str, Run]:
        async with AsyncClient(url, "t", clock=clock) as client:
            return await client.runs.wait_all(AGENT, TEN)

    with serving(batches(status_of)) as server:
        runs = asyncio.run(watch(server.url))
    assert list(runs) == TEN
    assert len(server.asked) == 20


def test_a_run_that_has_ended_or_is_paused_is_not_asked_for_again() -> None:
    clock = InstantClock()
    ends = {"a": (0, "PAUSED"), "b": (3, "FAILED"), "c": (6, "CANCELLED")}
    updates: list[tuple[str, str]] = []

    def status_of(run_id: str) -> str:
        at, status = ends[run_id]
        return status if clock.time_s >= at else "RUNNING"

    with serving(batches(status_of)) as server, Client(server.url, "t", clock=clock) as client:
        runs = client.runs.wait_all(
            AGENT, ends, on_update=lambda run: updates.append((run.id, run.status))
        )
    assert [asked.target.count("%2C") for asked in server.asked] == [2, 1, 0]
    assert {run_id: run.status for run_id, run in runs.items()} == {
        run_id: status for run_id, (_, status) in ends.items()
    }
    assert updates == [
        ("a", "PAUSED"),
        ("b", "RUNNING"),
        ("c", "RUNNING"),
        ("b", "FAILED"),
        ("c", "CANCELLED"),
    ]


def test_what_has_not_ended_in_time_is_named() -> None:
    def status_of(run_id: str) -> str:
        return "RUNNING" if run_id == "slow" else "COMPLETED"

    with (
        serving(batches(status_of)) as server,
        Client(server.url, "t", clock=InstantClock()) as client,
        pytest.raises(WaitTimeoutError) as caught,
    ):
        client.runs.wait_all(AGENT, ["quick", "slow"], timeout=10)
    assert caught.value.pending == ("slow",)
    assert caught.value.runs["quick"].status == "COMPLETED"
    assert isinstance(caught.value, TimeoutError)


def test_a_run_that_shows_up_late_is_waited_for() -> None:
    polls = iter([None, None, "COMPLETED"])
    with (
        serving(batches(lambda _: next(polls))) as server,
        Client(server.url, "t", clock=InstantClock()) as client,
    ):
        assert list(client.runs.wait_all(AGENT, ["late"])) == ["late"]


def test_a_run_that_does_not_exist_is_not_waited_for_for_ever() -> None:
    def respond(asked: Asked) -> Reply:
        return answer([]) if "runIds" in asked.target else Reply(404)

    with serving(respond) as server, Client(server.url, "t", clock=InstantClock()) as client:
        assert client.runs.wait_all(AGENT, ["none"]) == {}
        assert len(server.asked) == 3
        with pytest.raises(NotFoundError):
            client.runs.wait(AGENT, "none")


def test_one_run_is_waited_for_and_read_whole() -> None:
    with (
        serving(batches(lambda _: "COMPLETED")) as server,
        Client(server.url, "t", clock=InstantClock()) as client,
    ):
        assert client.runs.wait(AGENT, "one").id == "one"
    assert server.asked[-1].target == "/api/v1/runs/one"
