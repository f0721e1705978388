"""Random scripts for agents, and an engine that plays them and notes every effect."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from pydantic import JsonValue

from agentrun.domain.approvals import ApprovalAction
from agentrun.domain.errors import CannotResumeError, EngineError
from agentrun.domain.events import (
    ContentDelta,
    Metrics,
    PendingApproval,
    ToolEnd,
    ToolError,
    ToolStart,
)
from agentrun.domain.ports import AgentTask, TurnHost
from agentrun.domain.turns import TurnEnded, TurnEnding, TurnPaused
from tests.fakes.engine_outputs import EngineOutput, say_all


@dataclass(frozen=True)
class Say:
    """A fragment of the answer."""

    text: str


@dataclass(frozen=True)
class Wait:
    """Silence."""

    seconds: float


@dataclass(frozen=True)
class Call:
    """A tool call that needs no approval and takes a while."""

    call: str
    seconds: float


@dataclass(frozen=True)
class Ask:
    """A tool call that needs approval and pauses the run; a continuation plays the rest."""

    call: str
    seconds: float


@dataclass(frozen=True)
class Fail:
    """The end of a run whose agent fails, foreseen or not."""

    is_foreseen: bool


Step = Say | Wait | Call | Ask | Fail


def draw_script(random: Random, name: str, *, asks: int = 2) -> tuple[Step, ...]:
    """Draw what a message's run does; all texts and calls have unique names."""
    steps: list[Step] = []
    for number in range(random.randint(1, 8)):
        kind = random.choices(["say", "wait", "act", "ask", "long"], [5, 3, 4, asks, 1])[0]
        match kind:
            case "say":
                steps.append(Say(f"{name}.{number} "))
            case "wait":
                steps.append(Wait(random.uniform(0, 3)))
            case "long":
                steps.append(Wait(random.uniform(5, 25)))
            case "act":
                steps.append(Call(f"{name}.call{number}", random.uniform(0, 3)))
            case _:
                steps.append(Ask(f"{name}.ask{number}", random.uniform(0, 2)))
    if random.random() < 0.1:
        steps.append(Fail(is_foreseen=random.random() < 0.5))
    return tuple(steps)


def whole_text(script: Sequence[Step]) -> str:
    """Return the answer of a run that has played its whole script."""
    return "".join(step.text for step in script if isinstance(step, Say))


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
        return await say_all(self._outputs(task, host.before_tool), host.say)

    async def _outputs(
        self, task: AgentTask, before_tool: Callable[[], None]
    ) -> AsyncGenerator[EngineOutput, None]:
        executor = self.witness.began(task)
        script = self.scripts[task.message]
        position = 0

        def act(call: str) -> None:
            before_tool()
            self.witness.acts(task, executor, call)

        if task.resumption is not None:
            if self.is_changed():
                raise CannotResumeError("The agent has changed.")
            position = int(task.resumption.state) + 1
            asked = script[position - 1]
            assert isinstance(asked, Ask)
            is_approved = task.resumption.decisions[0].action is ApprovalAction.APPROVE
            async for event in _called(asked, act) if is_approved else _rejected(asked):
                yield event
        for index in range(position, len(script)):
            step = script[index]
            if isinstance(step, Ask):
                call = PendingApproval(id=step.call, tool="t", tool_name="tool", arguments={})
                yield Metrics(total_tokens=index, llm_calls=1)
                yield TurnPaused(pending=(call,), state=str(index))
                return
            async for event in _played(step, act):
                yield event
        yield Metrics(total_tokens=len(script), llm_calls=1)
        yield TurnEnded()


Act = Callable[[str], None]
Events = AsyncGenerator[EngineOutput, None]


async def _played(step: Say | Wait | Call | Fail, act: Act) -> Events:
    match step:
        case Say():
            yield ContentDelta(text=step.text)
        case Wait():
            await asyncio.sleep(step.seconds)
        case Call():
            async for event in _called(step, act):
                yield event
        case Fail():
            if step.is_foreseen:
                raise EngineError("The agent failed.")
            raise LookupError("unforeseen")


async def _called(step: Call | Ask, act: Act) -> Events:
    yield ToolStart(id=step.call, name="tool", arguments={})
    act(step.call)
    await asyncio.sleep(step.seconds)
    yield ToolEnd(id=step.call, name="tool", result="done")


async def _rejected(step: Ask) -> Events:
    yield ToolError(id=step.call, name="tool", error="rejected")
