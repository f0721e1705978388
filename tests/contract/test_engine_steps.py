"""What every `AgentEngine` has to keep about the steps of a turn, and of going on from them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent_catalog import load_catalog
from agent_catalog.models.demo.model import demo_model
from agent_catalog.running.engine import PydanticAiEngine
from agentrun.domain.agents import Agent
from agentrun.domain.errors import (
    BudgetExceededError,
    CancelRequestedError,
    EngineError,
    FencedError,
    HandedOverError,
)
from agentrun.domain.events import (
    ContentDelta,
    EngineEvent,
    Metrics,
    PauseType,
    ToolEnd,
    ToolError,
    ToolStart,
)
from agentrun.domain.ports import AgentEngine, AgentTask
from agentrun.domain.steps import Answered, Returned, Step, StepContent
from agentrun.domain.turns import TurnEnded, TurnEnding, TurnPaused
from tests.fakes import counting_tools, own_agents
from tests.fakes.counting_agent import counter
from tests.fakes.engine_outputs import FakeHost
from tests.fakes.scripted_engine import Ask, Item, Keep, ScriptedEngine

pytestmark = pytest.mark.anyio

CALLS = (("demo_1_1", "look"), ("demo_1_2", "send"), ("demo_3_1", "book"), ("demo_5_1", "send"))
MESSAGE = "/call look {} /call send {} then /call book {} then /call send {}"


@dataclass
class Told:
    """What an engine has told its host and asked it, in one sequence."""

    log: list[str] = field(default_factory=list)
    events: list[EngineEvent] = field(default_factory=list)
    refusals: dict[str, Exception] = field(default_factory=dict)
    pauses: bool = False

    def host(self, before: Sequence[Step] = ()) -> FakeHost:
        return FakeHost(self._say, self._begin, self._may_ask, keeping=self._keep, before=before)

    def _note(self, what: str) -> None:
        self.log.append(what)
        if what in self.refusals:
            raise self.refusals[what]

    def _say(self, event: EngineEvent) -> None:
        self.events.append(event)
        if isinstance(event, ToolStart | ToolEnd | ToolError):
            self.log.append(f"{event.event} {event.id}")

    def _begin(self) -> None:
        if "begins" not in self.log[-1:]:
            self.log.append("begins")

    def _may_ask(self) -> bool:
        self._note("asks")
        return not self.pauses

    async def _keep(self, content: StepContent) -> None:
        name = content.call_id if isinstance(content, Returned) else ""
        self._note(f"keeps {content.kind} {name}".strip())


@dataclass
class Case:
    """An engine and an agent; `message` makes three rounds of calls, the first of two."""

    engine: AgentEngine
    agent: Agent
    message: str = MESSAGE
    told: Told = field(default_factory=Told)

    async def run(self, **fields: Any) -> tuple[TurnEnding, FakeHost]:
        task = {
            "run_id": "run-1",
            "session_id": "session-1",
            "tenant": "acme",
            "user_id": "ana",
            "agent": self.agent,
            "message": self.message,
        }
        host = self.told.host(fields.get("steps", ()))
        return await self.engine.run(AgentTask(**(task | fields)), host), host

    async def goes_on(self, steps: Sequence[Step], **fields: Any) -> tuple[TurnEnding, FakeHost]:
        self.told = Told()
        counting_tools.forget()
        return await self.run(steps=tuple(steps), **fields)


def script() -> list[Item]:
    """The same turn as the demo model's, one tool after the other."""
    items: list[Item] = []
    calls = dict(CALLS)
    for answer in (CALLS[:2], CALLS[2:3], CALLS[3:]):
        acting = tuple(call_id for call_id, name in answer if name == "send")
        items += [Ask(), Metrics(model="demo"), Keep(Answered(message="", acting=acting))]
        items += [ToolStart(id=call_id, name=name, arguments={}) for call_id, name in answer]
        for call_id, name in answer:
            end = ToolEnd(id=call_id, name=calls[call_id], result=name)
            items.append(Keep(Returned(call_id=call_id, part=""), say=end))
    return [*items, Ask(), ContentDelta(text="done"), Metrics(model="demo"), TurnEnded()]


@pytest.fixture(params=["scripted", "pydantic_ai", "python"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    counting_tools.forget()
    agent = counter(tmp_path)
    if request.param == "scripted":
        return Case(ScriptedEngine(script()), agent)
    if request.param == "python":
        agent = own_agents.catalog_of(tmp_path, "counter").agent("counter")
    catalog = load_catalog("demo", tmp_path)
    return Case(PydanticAiEngine(catalog, lambda _: demo_model(delay_s=0)), agent)


def handed_over(steps: Sequence[Step]) -> list[Step]:
    """Return steps as an execution leaves them that has let nothing begin after the last."""
    *before, last = steps
    if not isinstance(last.content, Answered):
        return list(steps)
    content = last.content.model_copy(update={"acting": ()})
    return [*before, last.model_copy(update={"content": content})]


def calls_of(told: Told, kind: str) -> list[str]:
    return [entry.removeprefix(f"{kind} ") for entry in told.log if entry.startswith(f"{kind} ")]


async def test_an_answer_is_kept_before_any_of_its_tools_begins(case: Case) -> None:
    await case.run()
    log = case.told.log
    for call_id, _ in CALLS:
        round_begins = max(
            place
            for place, entry in enumerate(log[: log.index(f"TOOL_START {call_id}")])
            if entry == "keeps ANSWERED"
        )
        assert "begins" in log[round_begins:]
    assert log.index("keeps ANSWERED") < log.index("begins")


async def test_a_result_is_kept_before_it_is_told_and_before_the_model_is_asked(case: Case) -> None:
    await case.run()
    log = case.told.log
    asked = [place for place, entry in enumerate(log) if entry == "asks"]
    assert len(asked) == 4
    for call_id, _ in CALLS:
        kept, told = log.index(f"keeps RETURNED {call_id}"), log.index(f"TOOL_END {call_id}")
        answered = max(place for place in asked if place < kept)
        assert told == kept + 1
        assert told < asked[asked.index(answered) + 1]


async def test_steps_say_which_calls_must_not_act_twice(case: Case) -> None:
    _, host = await case.run()
    answers = [content.acting for content in host.kept if isinstance(content, Answered)]
    assert answers == [("demo_1_2",), (), ("demo_5_1",)]


async def test_figures_are_told_before_each_step(case: Case) -> None:
    _, host = await case.run()
    assert host.steps[0].metrics.model == "demo"


async def test_the_last_answer_is_no_step(case: Case) -> None:
    case.message = "Hello"
    if isinstance(case.engine, ScriptedEngine):
        case.engine = ScriptedEngine([Ask(), ContentDelta(text="Hello"), Metrics()])
    ending, host = await case.run()
    assert isinstance(ending, TurnEnded)
    assert host.kept == []


async def test_a_turn_goes_on_from_each_of_its_steps_as_if_nothing_had_been(case: Case) -> None:
    whole, host = await case.run()
    assert isinstance(whole, TurnEnded)
    assert len(host.steps) == 7
    for count in range(1, len(host.steps) + 1):
        steps = handed_over(host.steps[:count])
        done = {step.content.call_id for step in steps if isinstance(step.content, Returned)}
        doubted = {step for step in ("demo_1_2",) if count == 2 and step not in done}
        ending, again = await case.goes_on(steps)
        if doubted:
            assert isinstance(ending, TurnPaused)
            continue
        assert isinstance(ending, TurnEnded)
        assert ending.followups == whole.followups
        assert (ending.messages is None) == (whole.messages is None)
        kinds = [step.content.kind for step in again.steps[count:]]
        assert kinds.count("BEGAN") == (steps[-1] != host.steps[count - 1])
        assert len(kinds) - kinds.count("BEGAN") == len(host.steps) - count
        ended = calls_of(case.told, "TOOL_END")
        assert sorted(ended) == sorted({call_id for call_id, _ in CALLS} - done)
        assert case.told.log.count("asks") == 4 - sum(
            isinstance(step.content, Answered) for step in steps
        )


async def test_a_call_that_was_told_as_started_is_not_told_again(case: Case) -> None:
    _, host = await case.run()
    await case.goes_on(handed_over(host.steps[:1]), started=frozenset({"demo_1_1"}))
    assert "demo_1_1" not in calls_of(case.told, "TOOL_START")
    assert "demo_1_1" in calls_of(case.told, "TOOL_END")
    assert "demo_1_2" in calls_of(case.told, "TOOL_START")


async def test_a_turn_is_in_doubt_whose_tool_may_have_run(case: Case) -> None:
    _, host = await case.run()
    answers = [n for n, step in enumerate(host.steps, 1) if isinstance(step.content, Answered)]
    for count, call_id in ((answers[0], "demo_1_2"), (answers[2], "demo_5_1")):
        ending, again = await case.goes_on(host.steps[:count])
        assert isinstance(ending, TurnPaused)
        assert ending.type is PauseType.TOOL_IN_DOUBT
        assert [(call.id, call.tool) for call in ending.pending] == [(call_id, "send")]
        assert again.kept == []
        assert case.told.log == []
        assert counting_tools.effects == []


async def test_a_call_that_begins_after_a_hand_over_is_in_doubt_after_a_loss(case: Case) -> None:
    _, host = await case.run()
    _, again = await case.goes_on(handed_over(host.steps[:1]))
    assert case.told.log[0] == "keeps BEGAN"
    ending, _ = await case.goes_on(again.steps[:2])
    assert isinstance(ending, TurnPaused)
    assert [call.id for call in ending.pending] == ["demo_1_2"]
    ending, _ = await case.goes_on([step for step in again.steps if step.number < 5])
    assert isinstance(ending, TurnEnded)


async def test_what_may_run_again_is_no_doubt(case: Case) -> None:
    _, host = await case.run()
    ending, _ = await case.goes_on(host.steps[:4])
    assert isinstance(ending, TurnEnded)
    assert "demo_3_1" in calls_of(case.told, "TOOL_END")


async def test_a_spent_budget_pauses_the_turn_before_the_model_is_asked(case: Case) -> None:
    case.told.pauses = True
    ending, host = await case.run()
    assert isinstance(ending, TurnPaused)
    assert (ending.type, ending.pending) == (PauseType.BUDGET, ())
    assert (host.kept, case.told.log) == ([], ["asks"])


@pytest.mark.parametrize(
    "when", ["asks", "keeps ANSWERED", "keeps RETURNED demo_1_2", "keeps RETURNED demo_5_1"]
)
@pytest.mark.parametrize(
    "error",
    [
        HandedOverError(),
        CancelRequestedError(),
        BudgetExceededError("Spent."),
        FencedError("Somebody else's."),
        EngineError("Enough.", error_type="OUTPUT_TOO_LARGE"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_the_host_raises_ends_the_turn_as_it_is(
    case: Case, when: str, error: Exception
) -> None:
    case.told.refusals[when] = error
    with pytest.raises(type(error)) as caught:
        await case.run()
    assert caught.value is error
    after = case.told.log[case.told.log.index(when) + 1 :]
    assert [entry for entry in after if entry.startswith(("keeps", "asks", "TOOL_END"))] == []


async def test_a_turn_that_goes_on_elsewhere_leaves_its_tools_open(case: Case) -> None:
    case.told.refusals["keeps RETURNED demo_3_1"] = HandedOverError()
    with pytest.raises(HandedOverError):
        await case.run()
    assert calls_of(case.told, "TOOL_ERROR") == []
    assert "demo_3_1" in calls_of(case.told, "TOOL_START")
