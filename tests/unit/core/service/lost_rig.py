"""Processes that die, hand over and take over, on one set of stores."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

from agentrun.domain.conversations import SessionPolicy
from agentrun.domain.events import EventType, RecordedEvent
from agentrun.domain.quotas import RunLimits
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import AgentRun, RunKey
from agentrun.service.executing.execution import RunExecution
from agentrun.service.launcher import RunLauncher
from agentrun.service.reading.follow import attach
from agentrun.service.worker import RunWorker
from tests.fakes.scripted_engine import Item, ScriptedEngine
from tests.rig import ANA, NO_LIMITS, QUICK, Rig, read_all

LAPSED_S = 18
"""After that nobody takes an executor for alive that has been silent."""


class FakeMessage:
    """The port `HeldMessage`; counts how often it was kept from others."""

    def __init__(self, key: RunKey) -> None:
        self.key = key
        self.received = 1
        self.kept: list[timedelta] = []

    def keep_for(self, time: timedelta) -> bool:
        self.kept.append(time)
        return True


class LostRig(Rig):
    """
    One script for all processes, which share stores and clock.

    `gate` is closed: a script that has it waits there in the first execution.
    """

    def __init__(
        self,
        script: Sequence[Item],
        *,
        resumed: Sequence[Item] | None = None,
        limits: RunLimits = NO_LIMITS,
        agent: str = "lasting",
    ) -> None:
        super().__init__(limits)
        self.agent = agent
        self.engine = ScriptedEngine(script, resumed=resumed)
        self.first = self.launcher(self.engine, QUICK)
        self.second = self.launcher(self.engine, QUICK)
        self.worker = RunWorker(self.second, self.ports)

    async def begin(
        self, *, lasts_s: float | None = None, request: RunRequest | None = None
    ) -> RunExecution:
        """Begin a run in the first process, which lasts so long."""
        deadline = None if lasts_s is None else self.clock.now() + timedelta(seconds=lasts_s)
        stream = await self.first.begin(
            ANA, self.agent, request or RunRequest(message="hello"), deadline=deadline
        )
        assert isinstance(stream, RunExecution)
        return stream

    async def enqueue(
        self, policy: SessionPolicy = SessionPolicy.REJECT, **fields: object
    ) -> RunKey:
        """Begin a run in the background."""
        started = await self.first.enqueue(ANA, self.agent, self.request(**fields), policy=policy)
        return started.key

    def request(self, **fields: object) -> RunRequest:
        return RunRequest.model_validate({"message": "hello", **fields})

    async def kill(self, launcher: RunLauncher | None = None) -> None:
        """Let a process die: what it executes breaks off and writes nothing any more."""
        tasks = list((launcher or self.first)._executing)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something has come about that tells nobody."""
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0.002)

    async def attached(self, key: RunKey, cursor: int = 0) -> list[RecordedEvent]:
        """Read a run to its end in the second process, which may take it over."""
        follower = await attach(ANA, self.agent, key.run_id, cursor=cursor, ports=self.runs)
        assert follower is not None
        return await read_all(await self.second.admit(follower, deadline=None))

    async def work(self, key: RunKey, *, lasts_s: float | None = None) -> bool:
        """Let a worker see to a message."""
        deadline = None if lasts_s is None else self.clock.now() + timedelta(seconds=lasts_s)
        return await self.worker.work(FakeMessage(key), deadline=deadline)

    def state(self, key: RunKey) -> AgentRun:
        return self.store.get(key)


def ids_of(events: Sequence[RecordedEvent], kind: EventType) -> list[int]:
    """Return the ids of the events of one type."""
    return [recorded.id for recorded in events if recorded.event.event is kind]
