"""Each reader in each situation: a process runs it, and what it did is written down."""

import json
import subprocess
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from tests.e2e.conftest import LocalStack
from tests.readers.proxy import Exchange, Fault, Proxy, running
from tests.readers.roster import READERS, Call, Reader
from tests.readers.situations import WITH_RECIPE, WITHOUT_RECIPE, Situation

READER_TIMEOUT_S = 60
HANDED_ON_WITHIN_S = 20
AT_ONCE = 12
PATIENCE = 3
"""Answers without a stream after which a reader is taken for one that asks for ever."""

MOST_REQUESTS = 20
"""Requests after which it is stopped, whatever they are answered."""

Event = dict[str, Any]


@dataclass(frozen=True)
class Observation:
    """What a reader did in a situation."""

    reader: Reader
    seen: Sequence[Event]
    """What it has handed on."""
    recorded: Sequence[Event]
    """What the run's log holds at the end; empty where there is no run."""
    requests: Sequence[Exchange]
    """Those whose answers it reads; not one that only starts its run."""
    failure: str
    """What it complained about; empty when it ended well."""
    asks_for_ever: bool
    """Whether it had to be stopped."""
    incremental: bool
    """Whether it has handed on each event before the next was sent."""
    runs: Sequence[Mapping[str, Any]]
    """All runs of the user whose token it had."""

    @property
    def statuses(self) -> list[int]:
        """What its requests were answered."""
        return [request.status for request in self.requests]


@dataclass
class _Process:
    """A reader's process: its output, which the proxy may wait for, and its end."""

    process: subprocess.Popen[str]
    seen: list[Event] = field(default_factory=list)
    incremental: bool = True
    asks_for_ever: bool = False
    changed: threading.Condition = field(default_factory=threading.Condition)

    def follow(self) -> str:
        """Read its output to the end; return its complaint."""
        killer = threading.Timer(READER_TIMEOUT_S, self.process.kill)
        killer.start()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        with ThreadPoolExecutor(1) as other, self.process:
            complaint = other.submit(self.process.stderr.read)
            for line in self.process.stdout:
                with self.changed:
                    self.seen.append(json.loads(line))
                    self.changed.notify_all()
            status = self.process.wait()
        killer.cancel()
        return f"exit status {status}\n{complaint.result()}" if status else ""

    def wait_for(self, event_id: str) -> None:
        """Wait until it has handed on an event."""

        def handed_on() -> bool:
            return any(event["id"] == event_id for event in self.seen)

        with self.changed:
            if self.incremental:
                self.incremental = self.changed.wait_for(handed_on, HANDED_ON_WITHIN_S)

    def stop(self) -> None:
        """End one that would not end by itself."""
        self.asks_for_ever = True
        self.process.kill()


@dataclass(frozen=True)
class _Referee:
    """Sends an event after the reader has handed on the last; stops one that asks for ever."""

    one_by_one: bool
    first: int
    """The number of the first request whose answer is read."""
    started: Future[_Process] = field(default_factory=Future)

    def sent(self, request: int, event_id: str) -> None:
        """Wait until the reader has handed on an event, where it is to be sent one by one."""
        if self.one_by_one and request >= self.first:
            self.started.result().wait_for(event_id)

    def answered(self, exchanges: Sequence[Exchange]) -> None:
        """Stop a reader that asks again and again."""
        last = [exchange.status for exchange in exchanges[-PATIENCE:]]
        if (len(last) == PATIENCE and 200 not in last) or len(exchanges) == MOST_REQUESTS:
            self.started.result().stop()


def observe(stack: LocalStack, reader: Reader, situation: Situation) -> Observation:
    """Put a reader into a situation and wait until it has ended."""
    user, key = f"reader-{uuid4()}", str(uuid4())
    last_id = _earlier_stream(stack, user, situation, key) if situation.seen_before else ""
    # What only starts a run goes through unharmed, unless nothing would be left to go wrong.
    first = int(reader.attaches and situation.faults[:1] != (Fault(spoils_token=True),))
    faults = [*[Fault()] * first, *situation.faults]
    referee = _Referee(situation.one_by_one, first)
    with running(Proxy(stack.function_url, faults, referee.sent, referee.answered)) as proxy:
        token = stack.token(user=user)
        call = Call(proxy.url, token, situation.agent, situation.message, key, last_id)
        process = _start(reader.command(call, left_open=situation.left_open))
        referee.started.set_result(process)
        failure = process.follow()
        runs = _runs(stack, user)
        return Observation(
            reader=reader,
            seen=process.seen,
            recorded=_recorded(stack, user, runs[0]) if runs else [],
            requests=proxy.exchanges[first:],
            failure=failure,
            asks_for_ever=process.asks_for_ever,
            incremental=process.incremental,
            runs=runs,
        )


def _start(command: Sequence[Any]) -> _Process:
    return _Process(
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
        )
    )


def _earlier_stream(stack: LocalStack, user: str, situation: Situation, key: str) -> str:
    """Begin the run that a reader will ask for again; return the last id of its stream."""
    runs = f"/api/agents/{situation.agent}/runs"
    with stack.client("function_url", user=user) as client:
        answer = client.post(
            f"{runs}/stream",
            json={"message": situation.message},
            headers={"Idempotency-Key": key},
        )
        if situation.approved_before:
            decision = {"action": "APPROVE"}
            client.post(f"{runs}/{answer.headers['X-Run-Id']}/continue", json=decision)
        return str(_events(answer.text)[-1]["id"])


def _runs(stack: LocalStack, user: str) -> list[dict[str, Any]]:
    with stack.client(user=user) as client:
        sessions = client.get("/api/sessions").json()["content"]
        return [
            run
            for session in sessions
            for run in client.get(f"/api/sessions/{session['id']}/runs").json()
        ]


def _recorded(stack: LocalStack, user: str, run: Mapping[str, Any]) -> list[Event]:
    path = f"/api/agents/{run['agentId']}/runs/{run['id']}/stream"
    with stack.client("function_url", user=user) as client:
        return _events(client.get(path).text)


def _events(body: str) -> list[Event]:
    fields = [line.split(": ", 1) for line in body.split("\n") if ": " in line]
    ids = [value for name, value in fields if name == "id"]
    data = [value for name, value in fields if name == "data"]
    return [{"id": each, **json.loads(text)} for each, text in zip(ids, data, strict=True)]


Observations = Mapping[tuple[Reader, Situation], Observation]


def observe_all(stack: LocalStack, readers: Iterable[Reader] = READERS) -> Observations:
    """Put all readers for which there is what they need into all situations."""
    there = [reader for reader in readers if reader.missing() is None]
    cases = [(reader, situation) for situation in WITH_RECIPE for reader in there]
    cases += [(r, situation) for situation in WITHOUT_RECIPE for r in there if r.left_open]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(cases, pool.map(lambda case: observe(stack, *case), cases), strict=True))
