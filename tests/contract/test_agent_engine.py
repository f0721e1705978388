"""What every `AgentEngine` has to keep."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent_catalog import load_catalog
from agent_catalog.models.demo.model import demo_model
from agent_catalog.running.engine import PydanticAiEngine
from agentrun.domain.agents import Agent
from agentrun.domain.approvals import ApprovalAction, Decision
from agentrun.domain.errors import CannotResumeError, EngineError, MayNotActError
from agentrun.domain.events import (
    ContentDelta,
    Metrics,
    PendingApproval,
    ReasoningDelta,
    ToolEnd,
    ToolError,
    ToolStart,
)
from agentrun.domain.ports import AgentEngine, AgentTask
from agentrun.domain.turns import Resumption, TurnEnded, TurnPaused
from tests.bedrock import Hold, Reasoning, StreamException, Text
from tests.bedrock.answers import Step
from tests.fakes import own_agents, own_graphs
from tests.fakes.a2a_server import A2aServer, Events, a2a_server, artifact, status
from tests.fakes.a2a_server import task as a2a_task
from tests.fakes.engine_outputs import EngineOutput, let_begin, outputs_of
from tests.fakes.scripted_engine import Item, ScriptedEngine
from tests.openai_compatible import ChatReply, OpenAiCompatibleServer, openai_compatible_server

pytestmark = pytest.mark.anyio

ENGINES = ("scripted", "pydantic_ai", "python")
ALL = (*ENGINES, "endpoint")
"""An endpoint calls no tools of ours."""
WITH_GRAPHS = (*ENGINES, "graph")
"""A graph asks for approvals, and fails, in ways of its own; tests of it say how."""
METRICS = Metrics(total_tokens=7, model="demo")
ORDER = {"symbol": "AMZN", "side": "buy", "shares": 2}


@dataclass
class Case:
    """An engine, and the agent and the message that make it do what a test is about."""

    engine: AgentEngine
    agent: Agent
    message: str = "Two  words\r\n"
    before_tool: Callable[[], None] = let_begin

    def run(self, **fields: Any) -> AsyncGenerator[EngineOutput, None]:
        return outputs_of(
            self.engine,
            AgentTask(
                run_id="run-1",
                session_id="session-1",
                tenant="acme",
                user_id="ana",
                agent=self.agent,
                message=self.message,
                **fields,
            ),
            before_tool=self.before_tool,
        )

    async def outputs(self, **fields: Any) -> list[EngineOutput]:
        return [output async for output in self.run(**fields)]

    async def continued(self, paused: EngineOutput, *decisions: Decision) -> list[EngineOutput]:
        assert isinstance(paused, TurnPaused)
        return await self.outputs(resumption=Resumption(state=paused.state, decisions=decisions))


CATALOG = load_catalog("demo")


def pydantic_ai_case(message: str, agent: str = "echo") -> Case:
    engine = PydanticAiEngine(CATALOG, lambda _: demo_model(delay_s=0))
    return Case(engine, CATALOG.agent(agent), message)


def python_case(folder: Path, message: str, agent: str = "echo") -> Case:
    """Return the same for an agent that was made in Python."""
    catalog = own_agents.catalog_of(folder, agent)
    engine = PydanticAiEngine(catalog, lambda _: demo_model(delay_s=0))
    return Case(engine, catalog.agent(agent), message)


@pytest.fixture
def chat_server() -> Iterator[OpenAiCompatibleServer]:
    with openai_compatible_server() as server:
        yield server


def endpoint_case(request: pytest.FixtureRequest, folder: Path, *steps: Step) -> Case:
    """Return a case whose agent is a service of chat completions that says these steps."""
    server: OpenAiCompatibleServer = request.getfixturevalue("chat_server")
    server.always(ChatReply(*steps))
    endpoint = f"endpoint: {{openai: '{server.url}/v1', model: helper}}\n"
    (folder / "remote.yaml").write_text(f"name: R\ndescription: Elsewhere.\n{endpoint}")
    catalog = load_catalog("demo", folder)
    return Case(PydanticAiEngine(catalog), catalog.agent("remote"))


@pytest.fixture
def remote_agent() -> Iterator[A2aServer]:
    with a2a_server() as server:
        yield server


def a2a_case(request: pytest.FixtureRequest, folder: Path, *steps: Any) -> Case:
    """Return a case whose agent speaks the Agent2Agent protocol, and sends these events."""
    server: A2aServer = request.getfixturevalue("remote_agent")
    server.always(Events({"task": a2a_task()}, *steps))
    endpoint = f"endpoint: {{a2a: '{server.url}'}}\n"
    (folder / "remote.yaml").write_text(f"name: R\ndescription: Elsewhere.\n{endpoint}")
    catalog = load_catalog("demo", folder)
    return Case(PydanticAiEngine(catalog), catalog.agent("remote"))


def graph_case(folder: Path, message: str, graph: str = "echo") -> Case:
    catalog = own_graphs.catalog_of(folder, graph, "followup_model: demo\n")
    engine = PydanticAiEngine(catalog, lambda _: demo_model(delay_s=0))
    return Case(engine, catalog.agent(graph), message)


def scripted_case(*script: Item, resumed: list[Item] | None = None) -> Case:
    return Case(ScriptedEngine(script, resumed=resumed), CATALOG.agent("echo"))


@pytest.fixture(params=ALL)
def answering(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    if request.param == "pydantic_ai":
        return pydantic_ai_case("Two  words\r\n")
    if request.param == "endpoint":
        return endpoint_case(request, tmp_path, Text("Two  ", "words\r\n"))
    if request.param == "python":
        return python_case(tmp_path, "Two  words\r\n")
    return scripted_case(ContentDelta(text="Two  "), ContentDelta(text="words\r\n"), METRICS)


@pytest.fixture(params=(*ALL, "graph", "a2a"))
def thinking(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    if request.param == "pydantic_ai":
        return pydantic_ai_case("/think Hm, well")
    if request.param == "endpoint":
        return endpoint_case(request, tmp_path, Reasoning("Hm, ", "well"), Text("Hm, well"))
    if request.param == "graph":
        return graph_case(tmp_path, "/think Hm, well")
    if request.param == "a2a":
        return a2a_case(
            request,
            tmp_path,
            status("WORKING", "Hm, well"),
            artifact("Hm, well"),
            status("COMPLETED"),
        )
    if request.param == "python":
        return python_case(tmp_path, "/think Hm, well")
    return scripted_case(ReasoningDelta(text="Hm, well"), ContentDelta(text="Hm, well"), METRICS)


@pytest.fixture(params=ALL)
def failing(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    if request.param == "pydantic_ai":
        return pydantic_ai_case("/fail")
    if request.param == "endpoint":
        return endpoint_case(request, tmp_path, Text("This "), StreamException("server_error"))
    if request.param == "python":
        return python_case(tmp_path, "/fail")
    error = EngineError("The model has failed.", error_type="MODEL_ERROR")
    return scripted_case(ContentDelta(text="This "), METRICS, error)


@pytest.fixture(params=(*ALL, "graph", "a2a"))
def endless(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    """Answers with one delta, and then nothing more for a minute."""
    if request.param == "pydantic_ai":
        return pydantic_ai_case("/emit 2 every 60000")
    if request.param == "endpoint":
        return endpoint_case(request, tmp_path, Text("1 "), Hold())
    if request.param == "graph":
        return graph_case(tmp_path, "/wait")
    if request.param == "a2a":
        return a2a_case(request, tmp_path, artifact("1 "), Hold())
    if request.param == "python":
        return python_case(tmp_path, "/emit 2 every 60000")
    return scripted_case(ContentDelta(text="1 "), asyncio.Event(), METRICS)


@pytest.fixture(params=WITH_GRAPHS)
def calling(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    """Calls one tool after another's result, so that the model answers twice."""
    if request.param == "pydantic_ai":
        return pydantic_ai_case("What is 17 * 23?", "analyst")
    if request.param == "graph":
        return graph_case(tmp_path, '/call add {"left": 17, "right": 23}', "analyst")
    if request.param == "python":
        return python_case(tmp_path, "What is 17 * 23?", "analyst")
    return scripted_case(
        METRICS,
        ToolStart(id="1", name="calculate", arguments={"expression": "17 * 23"}),
        ToolEnd(id="1", name="calculate", result=391),
        ContentDelta(text="391"),
        Metrics(total_tokens=14, model="demo"),
        TurnEnded(messages="[]"),
    )


PENDING = PendingApproval(id="call-1", tool="place_order", tool_name="place_order", arguments=ORDER)


@pytest.fixture(params=ENGINES)
def pausing(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    """Waits for the approval of one order; the script's continuation is that of an approved one."""
    if request.param == "pydantic_ai":
        return pydantic_ai_case("Buy 2 shares of AMZN", "finance_agent")
    if request.param == "python":
        return python_case(tmp_path, "Buy 2 shares of AMZN", "finance_agent")
    return scripted_case(
        METRICS,
        TurnPaused(pending=(PENDING,), state="{}"),
        resumed=[
            ToolStart(id="call-1", name="place_order", arguments=ORDER),
            ToolEnd(id="call-1", name="place_order", result="done"),
            ContentDelta(text="Bought 2."),
            METRICS,
            TurnEnded(messages="[]"),
        ],
    )


@pytest.fixture(params=ENGINES)
def rejected(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    if request.param == "pydantic_ai":
        return pydantic_ai_case("Buy 2 shares of AMZN", "finance_agent")
    if request.param == "python":
        return python_case(tmp_path, "Buy 2 shares of AMZN", "finance_agent")
    return scripted_case(
        METRICS,
        TurnPaused(pending=(PENDING,), state="{}"),
        resumed=[
            ToolError(id="call-1", name="place_order", error="Rejected: too expensive"),
            ContentDelta(text="As you like."),
            METRICS,
        ],
    )


@pytest.fixture(params=WITH_GRAPHS)
def changed(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    """Cannot go on after its pause."""
    if request.param == "pydantic_ai":
        return pydantic_ai_case("Buy 2 shares of AMZN", "finance_agent")
    if request.param == "graph":
        return graph_case(tmp_path, "go", "refunds")
    if request.param == "python":
        return python_case(tmp_path, "Buy 2 shares of AMZN", "finance_agent")
    return scripted_case(METRICS, resumed=[CannotResumeError("The agent has changed.")])


@pytest.fixture(params=WITH_GRAPHS)
def suggesting(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    if request.param == "pydantic_ai":
        return pydantic_ai_case("What is 17 * 23?", "analyst")
    if request.param == "graph":
        return graph_case(tmp_path, "What is 17 * 23?")
    if request.param == "python":
        return python_case(tmp_path, "What is 17 * 23?", "analyst")
    return scripted_case(METRICS, TurnEnded(followups=("One?", "Two?", "Three?")))


async def test_the_deltas_joined_are_the_answer(answering: Case) -> None:
    events = await answering.outputs()
    texts = [event.text for event in events if isinstance(event, ContentDelta)]
    assert "".join(texts) == "Two  words\r\n"
    assert all(texts)


async def test_a_turn_ends_once_and_last_after_its_metrics(answering: Case) -> None:
    *events, figures, ending = await answering.outputs()
    assert ending == TurnEnded()
    assert isinstance(figures, Metrics)
    assert not [event for event in events if isinstance(event, TurnEnded | TurnPaused)]


async def test_metrics_come_after_each_answer_of_the_model_and_grow(calling: Case) -> None:
    outputs = await calling.outputs()
    figures = [output.total_tokens or 0 for output in outputs if isinstance(output, Metrics)]
    assert isinstance(outputs[-2], Metrics)
    assert len(set(figures)) == 2
    assert figures == sorted(figures)
    first_tool = next(i for i, output in enumerate(outputs) if isinstance(output, ToolStart))
    assert any(isinstance(output, Metrics) for output in outputs[:first_tool])


async def test_what_question_and_answer_do_not_say_is_left_for_later_turns(
    answering: Case, calling: Case
) -> None:
    plain, with_tool = (await answering.outputs())[-1], (await calling.outputs())[-1]
    assert isinstance(plain, TurnEnded)
    assert plain.messages is None
    assert isinstance(with_tool, TurnEnded)
    assert with_tool.messages is not None


async def test_reasoning_comes_before_the_answer(thinking: Case) -> None:
    events = await thinking.outputs()
    reasoning = [event for event in events if isinstance(event, ReasoningDelta)]
    assert "".join(event.text for event in reasoning) == "Hm, well"
    assert events[: len(reasoning)] == reasoning


async def test_a_failure_is_raised_after_what_was_said_and_the_metrics(failing: Case) -> None:
    events: list[EngineOutput] = []

    async def read() -> None:
        async for event in failing.run():
            events.append(event)  # noqa: PERF401 - what came before the error is to be kept

    with pytest.raises(EngineError) as caught:
        await read()
    assert isinstance(events[0], ContentDelta)
    assert isinstance(events[-1], Metrics)
    assert caught.value.error_type == "MODEL_ERROR"


async def test_a_call_that_needs_an_approval_does_not_start_before_it(pausing: Case) -> None:
    *events, paused = await pausing.outputs()
    assert isinstance(paused, TurnPaused)
    assert [(call.tool, call.arguments) for call in paused.pending] == [("place_order", ORDER)]
    assert isinstance(events[-1], Metrics)
    assert not [event for event in events if isinstance(event, ToolStart)]


async def refused(acting: Case, **fields: Any) -> list[EngineOutput]:
    """Run a turn whose first tool may not begin, and give what came of it."""
    asked: list[str] = []

    def refuse() -> None:
        asked.append("may it?")
        raise MayNotActError

    acting.before_tool = refuse
    outputs: list[EngineOutput] = []

    async def read() -> None:
        async for output in acting.run(**fields):
            outputs.append(output)  # noqa: PERF401 - what came before the error is to be kept

    with pytest.raises(MayNotActError):
        await read()
    assert len(asked) == 1
    return outputs


async def test_a_tool_that_may_not_begin_ends_the_turn_with_the_reason(calling: Case) -> None:
    assert not [output for output in await refused(calling) if isinstance(output, ToolEnd)]


async def test_an_approved_tool_that_may_not_begin_ends_the_turn_too(pausing: Case) -> None:
    paused = (await pausing.outputs())[-1]
    assert isinstance(paused, TurnPaused)
    decision = Decision(id=paused.pending[0].id, action=ApprovalAction.APPROVE)
    resumption = Resumption(state=paused.state, decisions=(decision,))
    outputs = await refused(pausing, resumption=resumption)
    assert not [output for output in outputs if isinstance(output, ToolEnd)]


async def test_an_approved_call_starts_and_ends_and_the_turn_goes_on(pausing: Case) -> None:
    paused = (await pausing.outputs())[-1]
    assert isinstance(paused, TurnPaused)
    call = paused.pending[0]
    decision = Decision(id=call.id, action=ApprovalAction.APPROVE)
    outputs = await pausing.continued(paused, decision)
    assert outputs[0] == ToolStart(id=call.id, name="place_order", arguments=ORDER)
    assert isinstance(outputs[1], ToolEnd)
    assert [type(output) for output in outputs].count(ContentDelta) >= 1
    assert isinstance(outputs[-1], TurnEnded)


async def test_a_rejected_call_is_an_error_with_the_reason(rejected: Case) -> None:
    paused = (await rejected.outputs())[-1]
    assert isinstance(paused, TurnPaused)
    call = paused.pending[0]
    decision = Decision(id=call.id, action=ApprovalAction.REJECT, reason="too expensive")
    outputs = await rejected.continued(paused, decision)
    assert not [output for output in outputs if isinstance(output, ToolStart | ToolEnd)]
    assert isinstance(outputs[0], ToolError)
    assert (outputs[0].id, outputs[0].name) == (call.id, "place_order")
    assert "too expensive" in outputs[0].error
    assert isinstance(outputs[-1], TurnEnded)


async def test_what_cannot_be_resumed_fails_before_anything_happens(changed: Case) -> None:
    unknown = TurnPaused(pending=(PENDING,), state='{"version": 0}')
    with pytest.raises(CannotResumeError) as caught:
        await changed.continued(unknown, Decision(id="call-1", action=ApprovalAction.APPROVE))
    assert caught.value.error_type == "CANNOT_RESUME"


async def test_followups_are_three_where_they_are_asked_for(suggesting: Case) -> None:
    ended = (await suggesting.outputs(generate_followups=True))[-1]
    assert isinstance(ended, TurnEnded)
    assert ended.followups is not None
    assert len(set(ended.followups)) == 3


async def test_runs_do_not_disturb_each_other(answering: Case) -> None:
    async def text() -> str:
        events = await answering.outputs()
        return "".join(event.text for event in events if isinstance(event, ContentDelta))

    assert await asyncio.gather(*(text() for _ in range(5))) == ["Two  words\r\n"] * 5


async def test_closing_the_generator_ends_the_run_at_once(endless: Case) -> None:
    run = endless.run()
    assert isinstance(await anext(run), ContentDelta)
    async with asyncio.timeout(3):
        await run.aclose()
    assert [event async for event in run] == []


async def test_cancelling_the_reader_ends_the_run_and_is_not_swallowed(endless: Case) -> None:
    seen = asyncio.Event()

    async def read() -> None:
        async for _ in endless.run():
            seen.set()

    reader = asyncio.create_task(read())
    await seen.wait()
    reader.cancel()
    async with asyncio.timeout(3):
        with pytest.raises(asyncio.CancelledError):
            await reader
    assert reader.cancelled()
