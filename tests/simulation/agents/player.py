"""An engine that plays scripts step by step, and notes every effect."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import JsonValue

from agentrun.domain.agents import Replay
from agentrun.domain.approvals import ApprovalAction, Decision
from agentrun.domain.errors import CannotResumeError, EngineError
from agentrun.domain.events import (
    ContentDelta,
    Metrics,
    PauseType,
    PendingApproval,
    ToolEnd,
    ToolError,
    ToolStart,
)
from agentrun.domain.ports import AgentTask, TurnHost
from agentrun.domain.steps import Answered, Began, Continued, Returned
from agentrun.domain.turns import TurnEnded, TurnEnding, TurnPaused
from tests.simulation.scripts import TOKENS_A_STEP, Ask, Break, Call, Fail, Say, Step, Wait


class Witness(Protocol):
    """Is notified of what engines do, at the moment when they do it."""

    def began(self, task: AgentTask) -> str:
        """Note that an engine begins; return the name of the executor."""
        ...

    def acts(self, task: AgentTask, executor: str, call: str) -> None:
        """Note that a tool begins to have its effect."""
        ...


@dataclass
class ScriptPlayer:
    """The port `AgentEngine`: plays the script that belongs to a run's message."""

    scripts: Mapping[str, Sequence[Step]]
    witness: Witness
    is_changed: Callable[[], bool] = field(default=lambda: False)

    def argument_faults(
        self, agent_id: str, tool: str, arguments: Mapping[str, JsonValue]
    ) -> Sequence[tuple[str, str]]:
        return ()

    async def run(self, task: AgentTask, host: TurnHost) -> TurnEnding:
        executor = self.witness.began(task)
        if task.resumption is not None and self.is_changed():
            raise CannotResumeError("The agent has changed.")
        return await _Turn(self.scripts[task.message], self.witness, executor, task, host).play()


@dataclass(frozen=True)
class _Open:
    """A call that an answer has made, or that was decided, and what is known of it."""

    at: int
    is_acting: bool = False
    decision: Decision | None = None


class _Turn:
    """One turn: a new one, a continued one, or one that goes on after its steps."""

    def __init__(
        self,
        script: Sequence[Step],
        witness: Witness,
        executor: str,
        task: AgentTask,
        host: TurnHost,
    ) -> None:
        self._script = script
        self._witness = witness
        self._executor = executor
        self._task = task
        self._host = host
        self._tokens = 0
        self._broken: set[int] = set()

    async def play(self) -> TurnEnding:
        at, left = self._left()
        if left is not None:
            step = self._script[left.at]
            assert isinstance(step, Call | Ask)
            if left.is_acting:
                return self._paused(step, left.at, PauseType.TOOL_IN_DOUBT)
            await self._finish(step, left)
            at = left.at + 1
        return await self._play_on(at)

    def _left(self) -> tuple[int, _Open | None]:
        """Return where to go on, and the call that comes first because it is not finished."""
        at, left = self._decided()
        for content in (step.content for step in self._task.steps):
            match content:
                case Continued():
                    if left is not None and content.acting:
                        left = _Open(left.at, is_acting=True)
                case Answered():
                    left = _Open(int(content.message), is_acting=bool(content.acting))
                case Began():
                    assert left is not None
                    left = _Open(left.at, is_acting=True)
                case Returned():
                    at, left = int(content.part) + 1, None
        return at, left

    def _decided(self) -> tuple[int, _Open | None]:
        if self._task.resumption is None:
            return 0, None
        at, decisions = json.loads(self._task.resumption.state), self._task.resumption.decisions
        return at, _Open(at, decision=decisions[0]) if decisions else None

    async def _finish(self, step: Call | Ask, left: _Open) -> None:
        """Run a call that was made before, unless somebody has decided against it."""
        decision = left.decision
        if decision is not None and decision.has_result:
            await self._returned(left.at, ToolEnd(id=step.call, name="tool", result="as told"))
        elif decision is not None and decision.action is ApprovalAction.REJECT:
            await self._returned(left.at, ToolError(id=step.call, name="tool", error="rejected"))
        else:
            if decision is None and step.replay is Replay.NEVER:
                await self._host.keep(Began(acting=(step.call,)))
            await self._act(step, left.at)

    async def _play_on(self, at: int) -> TurnEnding:
        if (pause := await self._spent(at)) is not None:
            return pause
        since, index = at, at
        while index < len(self._script):
            step = self._script[index]
            index += 1
            match step:
                case Ask():
                    return self._paused(step, index - 1, PauseType.TOOL_APPROVAL)
                case Call():
                    acting = (step.call,) if step.replay is Replay.NEVER else ()
                    await self._host.keep(Answered(message=str(index - 1), acting=acting))
                    await self._act(step, index - 1)
                    since = index
                    if (pause := await self._spent(index)) is not None:
                        return pause
                case Break():
                    if index not in self._broken:
                        self._broken.add(index)
                        self._host.void_answer()
                        index = since
                case _:
                    await self._play(step)
        return TurnEnded()

    async def _spent(self, at: int) -> TurnPaused | None:
        """Ask a model, unless the run's budget is spent."""
        if not await self._host.before_model():
            return TurnPaused(type=PauseType.BUDGET, state=json.dumps(at))
        self._tokens += TOKENS_A_STEP
        self._host.say(Metrics(total_tokens=self._tokens))
        return None

    async def _play(self, step: Say | Wait | Fail) -> None:
        match step:
            case Say():
                self._host.say(ContentDelta(text=step.text))
            case Wait():
                await asyncio.sleep(step.seconds)
            case Fail():
                if step.is_foreseen:
                    raise EngineError("The agent failed.")
                raise LookupError("unforeseen")

    async def _act(self, step: Call | Ask, at: int) -> None:
        if step.call not in self._task.started:
            self._host.say(ToolStart(id=step.call, name="tool", arguments={}))
        self._host.before_tool()
        self._witness.acts(self._task, self._executor, step.call)
        await asyncio.sleep(step.seconds)
        await self._returned(at, ToolEnd(id=step.call, name="tool", result="done"))

    async def _returned(self, at: int, event: ToolEnd | ToolError) -> None:
        await self._host.keep(Returned(call_id=event.id, part=str(at)), say=event)

    def _paused(self, step: Call | Ask, at: int, kind: PauseType) -> TurnPaused:
        name = f"tool-{step.replay}"
        call = PendingApproval(id=step.call, tool=name, tool_name=name, arguments={})
        return TurnPaused(type=kind, pending=(call,), state=json.dumps(at))
