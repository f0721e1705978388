"""Actors: start and continue runs, execute them, read, cancel, delete."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from agentrun.domain.approvals import ApprovalAction, ContinueRequest
from agentrun.domain.conversations import SessionPolicy
from agentrun.domain.endings import can_go_on, lease_has_lapsed
from agentrun.domain.errors import (
    AgentrunError,
    NotFoundError,
    StoreUnavailableError,
)
from agentrun.domain.events import ContentDelta, PendingApproval
from agentrun.domain.ports import AgentTask, TurnHost
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import AgentRun, RunKey
from agentrun.domain.steps import Answered
from agentrun.domain.turns import TurnEnded, TurnEnding, TurnPaused
from agentrun.service.executing.execution import RunExecution
from agentrun.service.reading.follow import attach
from agentrun.service.reading.runs import cancel_run, get_run, get_runs
from agentrun.service.reading.sessions import delete_session
from agentrun.service.starting.continue_run import paused_run
from agentrun.service.starting.slots import slot_of
from agentrun.service.starting.start_run import Idempotency, PendingExecution
from agentrun.service.starting.take_over import take_over
from tests.fakes.engine_outputs import EngineOutput, say_all
from tests.rig import ANA, ECHO
from tests.runs import SESSION, a_request
from tests.schedules import touches
from tests.schedules.instant import run_instantly
from tests.schedules.scene import PACE, Heard, Process, Scene

Act = Callable[[], None]
REQUEST = RunRequest(message="Buy 10 AMZN", session_id=UUID(SESSION))
APPROVE = ContinueRequest(action=ApprovalAction.APPROVE)
CALL = PendingApproval(id="c1", tool="order", tool_name="order", arguments={"shares": 1})
PAUSE = TurnPaused(pending=(CALL,), state="the engine's own")
TOOL = object()
"""In a script: a tool has its effect."""
STEP = object()
"""In a script: an answer is kept; who takes the run over goes on behind it."""
REST_S = 3.0
"""In a script: the model thinks long enough for a heartbeat."""
LONGEST_LOOK_S = 0.6


def nothing() -> None:
    return


class ActingEngine:
    """The port `AgentEngine`: says texts, rests for seconds, and runs tools."""

    def __init__(self, process: Process, script: Sequence[Any]) -> None:
        self._process = process
        self._script = script
        self.executor: str | None = None

    async def run(self, task: AgentTask, host: TurnHost) -> TurnEnding:
        return await say_all(self._outputs(task, host), host.say)

    async def _outputs(self, task: AgentTask, host: TurnHost) -> AsyncGenerator[EngineOutput, None]:
        scene, name = self._process.scene, self._process.name
        kept = [place for place, item in enumerate(self._script, 1) if item is STEP]
        for item in self._script[kept[len(task.steps) - 1] if task.steps else 0 :]:
            if item is STEP:
                await host.keep(Answered(message="an answer"))
            elif item is TOOL:
                scene.step("tool", touches.TOOL)
                host.before_tool()
                with scene.looking():
                    lock = scene.conversations.lock(task.tenant, task.session_id)
                    header = scene.header(task.run_id)
                    scene.note("acted", name, task.run_id, header, call=lock.active or "nobody")
            elif isinstance(item, str):
                yield ContentDelta(text=item)
            elif isinstance(item, float):
                await asyncio.sleep(item)
            else:
                yield item
        if not isinstance(self._script[-1], TurnPaused):
            yield TurnEnded()


def starts(
    scene: Scene,
    name: str,
    script: Sequence[Any],
    *,
    key: str | None = None,
    policy: SessionPolicy = SessionPolicy.REJECT,
    request: RunRequest = REQUEST,
) -> Act:
    """Start a run and execute it to its end."""
    process = scene.process(name)
    idempotency = Idempotency(key=key, body="body") if key else None

    async def act() -> None:
        launcher = process.launcher(ActingEngine(process, script))
        try:
            stream = await launcher.begin(
                ANA, "echo", request, idempotency=idempotency, policy=policy, deadline=None
            )
        except AgentrunError:
            scene.note("refused", name, f"{name}-1")
            return
        if not isinstance(stream, RunExecution):
            return
        scene.note("began", name, stream.run.id)
        await _listen(scene, name, stream, cursor=0)
        await launcher.ended(stream)

    return lambda: run_instantly(act())


async def _listen(scene: Scene, name: str, execution: RunExecution, *, cursor: int) -> None:
    heard = Heard(name, execution.run.id, "live", cursor)
    scene.heard.append(heard)
    async for batch in execution.batches(idle_s=3600):
        heard.events += batch


def executes(
    scene: Scene,
    name: str,
    run: AgentRun,
    script: Sequence[Any],
    *,
    patience_s: float | None = None,
    lasts_s: float | None = None,
) -> Act:
    """
    Execute a run that is already stored.

    It dies after `patience_s` of its own time; its process ends in good order after `lasts_s`.
    """
    process = scene.process(name)
    task = AgentTask(
        run_id=run.id,
        session_id=run.session_id,
        tenant=run.org_id,
        user_id=run.user_id,
        agent=ECHO,
        message="hello",
    )

    async def act() -> None:
        slot = slot_of(run)
        pending = PendingExecution(
            run=run, task=task, request=a_request(), ports=process.ports, slot=slot
        )
        execution = RunExecution(pending, engine=ActingEngine(process, script), pace=PACE)
        ends = None if lasts_s is None else scene.clock.now() + timedelta(seconds=lasts_s)
        executing = asyncio.create_task(execution.execute(deadline=ends))
        listening = asyncio.create_task(_listen(scene, name, execution, cursor=0))
        await asyncio.wait({executing}, timeout=patience_s)
        executing.cancel()
        await asyncio.gather(executing, listening, return_exceptions=True)

    return lambda: run_instantly(act())


def takes_over(scene: Scene, name: str, run_id: str, script: Sequence[Any]) -> Act:
    """Take over a run that has lost its executor, if it has, and execute it to its end."""
    process = scene.process(name)

    async def act() -> None:
        launcher = process.launcher(ActingEngine(process, script))
        try:
            seen = process.runs.store.get_state(RunKey(tenant="acme", run_id=run_id))
            if not (lease_has_lapsed(seen, scene.clock.now()) and can_go_on(seen)):
                return
            pending = await take_over(seen, ports=process.ports)
        except AgentrunError:
            scene.note("refused", name, run_id)
            return
        await launcher.execute(pending, deadline=None)

    return lambda: run_instantly(act())


def continues(scene: Scene, name: str, run_id: str, script: Sequence[Any]) -> Act:
    """Approve what a run waits for, and execute the run to its end."""
    process = scene.process(name)

    async def act() -> None:
        launcher = process.launcher(ActingEngine(process, script))
        try:
            paused = await paused_run(ANA, "echo", run_id, process.runs)
            execution = await launcher.resume(ANA, paused, APPROVE, deadline=None)
        except AgentrunError:
            scene.note("refused", name, run_id)
            return
        scene.note("began", name, run_id)
        await _listen(scene, name, execution, cursor=paused.last_event_id)
        await launcher.ended(execution)

    return lambda: run_instantly(act())


def reads(scene: Scene, name: str, run_id: str, *, times: int = 1) -> Act:
    """Poll one run, and declare it dead if it is."""
    process = scene.process(name)

    def act() -> None:
        for _ in range(times):
            try:
                scene.note("told", name, run_id, get_run(ANA, "echo", run_id, ports=process.runs))
            except (NotFoundError, StoreUnavailableError):
                scene.note("refused", name, run_id)

    return act


def reads_batch(scene: Scene, name: str, run_ids: Sequence[str]) -> Act:
    """Poll several runs at once, with their texts."""
    process = scene.process(name)

    def act() -> None:
        try:
            found = get_runs(ANA, "echo", run_ids, with_text=True, ports=process.runs)
        except StoreUnavailableError:
            return
        for run in found:
            scene.note("told", name, run.id, run)

    return act


def replays(scene: Scene, name: str, run_id: str, *, cursor: int = 0) -> Act:
    """Attach to a run after a cursor, and stay for one or two looks."""
    process = scene.process(name)

    async def act() -> None:
        try:
            follower = await attach(ANA, "echo", run_id, cursor=cursor, ports=process.runs)
        except (NotFoundError, StoreUnavailableError):
            scene.note("refused", name, run_id)
            return
        if follower is None:
            return
        heard = Heard(name, run_id, "replay", cursor)
        scene.heard.append(heard)

        async def listen() -> None:
            async for batch in follower.batches(idle_s=3600):
                heard.events += batch

        listening = asyncio.create_task(listen())
        await asyncio.wait({listening}, timeout=LONGEST_LOOK_S)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)

    return lambda: run_instantly(act())


def cancels(scene: Scene, name: str, run_id: str) -> Act:
    """Cancel a run."""
    process = scene.process(name)

    def act() -> None:
        try:
            cancel_run(ANA, "echo", run_id, ports=process.runs)
        except (NotFoundError, StoreUnavailableError):
            scene.note("refused", name, run_id)
            return
        scene.note("cancelled", name, run_id, scene.header(run_id))

    return act


def deletes(scene: Scene, name: str) -> Act:
    """Delete the session with all its runs."""
    process = scene.process(name)

    def act() -> None:
        try:
            delete_session(ANA, SESSION, conversations=process.conversations)
        except (NotFoundError, StoreUnavailableError):
            scene.note("refused", name, "")
            return
        scene.note("deleted", name, "")

    return act


def sweeps(scene: Scene, times: int = 1) -> Act:
    """Delete what has outlived its `ttl`, as DynamoDB eventually does."""

    def act() -> None:
        for _ in range(times):
            scene.step("items expire")
            scene.stores.expire(scene.clock.now().timestamp())

    return act


def passes(scene: Scene, *seconds: float) -> Act:
    """Let time pass, one jump per step."""

    def act() -> None:
        for jump_s in seconds:
            scene.step(f"{jump_s:g} s pass")
            scene.clock.advance(jump_s)

    return act
