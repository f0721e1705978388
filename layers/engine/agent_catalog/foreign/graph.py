"""A LangGraph graph as an agent; langgraph is a requirement of the user's own tools."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.channels import DeltaChannel
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel
from langgraph.types import Command
from pydantic_ai import Tool
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.usage import RunUsage

from agent_catalog.agent_file import AgentFile
from agent_catalog.catalog import CatalogError
from agent_catalog.foreign.graph_calls import refuse_calls_in_one_task
from agent_catalog.foreign.graph_events import GraphListener
from agent_catalog.foreign.graph_media import blocks_of
from agent_catalog.foreign.graph_pauses import (
    Asked,
    GraphState,
    answers,
    asked_by,
    read_pause,
    rejection,
)
from agent_catalog.foreign.graph_state import NewestState
from agent_catalog.models.sendable import without_media
from agent_catalog.running.errors import shown_error
from agent_catalog.running.events import metrics
from agent_catalog.running.history import dumped, loaded, messages_of, user_prompt
from agent_catalog.running.pauses import Spent, remaining_limits
from agent_catalog.tool_names import imported, place_of_object
from agent_catalog.toolkit import Session
from agentrun.domain.approvals import ApprovalAction
from agentrun.domain.errors import (
    AgentrunError,
    CancelRequestedError,
    CannotResumeError,
    EngineError,
    HandedOverError,
)
from agentrun.domain.events import PauseType
from agentrun.domain.ports import AgentTask, TurnHost
from agentrun.domain.steps import Answered
from agentrun.domain.turns import TurnEnded, TurnEnding, TurnPaused

_KEPT = "langgraph"
Suggest = Callable[[str, RunUsage], Awaitable[tuple[str, ...] | None]]
"""Returns follow-ups to an answer, and adds what they use."""


@dataclass(frozen=True)
class BuiltGraph:
    """A compiled graph, and the file that names it; its tools are known to itself alone."""

    file: AgentFile
    graph: Pregel[Any, Any, Any, Any]
    tools: dict[str, Tool[Any]] = field(default_factory=dict)


def import_graph(agent_id: str, file: AgentFile) -> BuiltGraph:
    """
    Import a graph and check that it can be run as it is.

    Raises:
        EngineError: It cannot; the cause says why, and where.
    """
    assert file.graph is not None  # noqa: S101 - as the caller has looked up
    try:
        found = imported(file.graph)
        graph = found.compile() if isinstance(found, StateGraph) else found
        for reason in _faults(graph):
            raise CatalogError(f"{agent_id}.yaml: graph: {place_of_object(file.graph)}: {reason}")
    except Exception as error:
        raise EngineError(f"The agent '{agent_id}' cannot be loaded.") from error
    return BuiltGraph(file, graph)


def _faults(graph: Any) -> Iterator[str]:
    if not isinstance(graph, Pregel):
        yield f"must be a StateGraph, compiled or not, of langgraph, not {type(graph).__name__}"
        return
    if "messages" not in graph.channels:
        yield "its state needs 'messages', as MessagesState has: they are how it is talked to"
    if graph.checkpointer not in (None, False):
        yield "checkpointer: the run keeps the graph's state; leave it out"
    if graph.interrupt_before_nodes or graph.interrupt_after_nodes:
        yield "interrupt_before, interrupt_after: say what to ask by interrupt(...) in a node"
    for name, channel in graph.channels.items():
        if isinstance(channel, DeltaChannel):
            yield f"the channel '{name}' is a DeltaChannel, which is made up from its history"


class GraphRun:
    """One run of a graph: a new turn, or one that goes on; runs once."""

    def __init__(self, task: AgentTask, built: BuiltGraph, host: TurnHost) -> None:
        """
        Prepare the run, without doing anything yet.

        Raises:
            CannotResumeError: The turn cannot be continued.
            EngineError: A step cannot be read.
        """
        self._task, self._file, self._host = task, built.file, host
        self._state = NewestState(task.run_id, task.media)
        self._graph = built.graph.copy({"checkpointer": self._state})
        said = UserPromptPart(without_media(user_prompt(task)))
        self._said: list[ModelMessage] = [ModelRequest(parts=[said])]
        self._spent = Spent()
        self._usage = RunUsage()
        self._figures = metrics(self._usage, task.agent.model)
        self._rejected: list[tuple[Asked, str]] = []
        self._input = self._begin()
        self._limits = remaining_limits(built.file.limits, self._spent)
        self._listener = GraphListener(host, self._usage, self._said)

    async def play(self, suggest: Suggest) -> TurnEnding:
        """Run the graph to its end; say what the port `AgentEngine` asks for."""
        try:
            ending = await self._ended(suggest)
        except (CancelRequestedError, CannotResumeError, HandedOverError):
            raise
        except asyncio.CancelledError:
            with suppress(EngineError):
                self._say_figures()
            raise
        except AgentrunError as error:
            if isinstance(error, EngineError):
                self._say_rest()
            raise
        except Exception as error:
            self._say_rest()
            raise shown_error(error, self._file.limits) from error
        self._say_rest()
        return ending

    def _begin(self) -> Any:
        """Return what the graph is to go on with, and put its state there."""
        task = self._task
        kept = [step.content for step in task.steps if isinstance(step.content, Answered)]
        if kept:
            try:
                self._go_on(GraphState.model_validate_json(kept[-1].message))
            except ValueError as error:
                message = "A step of the run is recorded in a form that is not known."
                raise EngineError(message, error_type="CANNOT_RESUME") from error
            return None
        if task.resumption is None:
            return self._new_turn()
        paused = read_pause(task.resumption)
        if not paused.begun:
            return self._new_turn()
        try:
            self._go_on(paused)
        except ValueError as error:
            raise CannotResumeError("The pause is recorded in a form that is not known.") from error
        given = answers(paused.asked, task.resumption.decisions)
        decided = {decision.id: decision for decision in task.resumption.decisions}
        self._rejected = [
            (question, rejection(decided[question.id]))
            for question in paused.asked
            if question.is_about_call and decided[question.id].action is ApprovalAction.REJECT
        ]
        return Command(resume=given) if given else None

    def _go_on(self, state: GraphState) -> None:
        self._state.read(state.state)
        self._said[:] = loaded(state.said)
        self._spent = state.spent

    def _new_turn(self) -> dict[str, Any]:
        """Take up the state that the conversation's last turn left, and add what was said since."""
        history = self._task.history if self._file.history.turns else ()
        since: list[HumanMessage | AIMessage] = []
        for turn in reversed(history):
            kept = _kept_by(messages_of(turn))
            if kept is not None:
                self._state.read(kept)
                break
            since[:0] = [HumanMessage(turn.input), AIMessage(turn.output or "…")]
        text, files = self._task.message, blocks_of(self._task.media)
        asked = HumanMessage([{"type": "text", "text": text}, *files] if files else text)
        return {"messages": [*since, asked]}

    async def _ended(self, suggest: Suggest) -> TurnEnding:
        # What was decided is done in any case, as calls of tools are.
        if not isinstance(self._input, Command) and not await self._may_go_on():
            return self._paused(PauseType.BUDGET, begun=self._input is None)
        task = self._task
        session = Session(
            task.tenant,
            task.user_id,
            task.session_id,
            run_id=task.run_id,
            before_tool=self._host.before_tool,
        )
        # Not as `run_id`: langgraph takes a run of the same id for one that is to be resumed.
        place = {"thread_id": task.session_id, "session": session}
        config: RunnableConfig = {"configurable": place, "callbacks": [self._listener]}
        self._say_rejected()
        while True:
            await self._step(config)
            snapshot = await self._graph.aget_state(config)
            if asked := asked_by(snapshot.tasks):
                await refuse_calls_in_one_task(self._graph, config)
                return self._paused(PauseType.TOOL_APPROVAL, asked)
            self._state.forget_finished()
            if not snapshot.next:
                return await self._answered(suggest)
            self._say_figures()
            await self._host.keep(Answered(message=self._written_down()))
            if not await self._may_go_on():
                return self._paused(PauseType.BUDGET)
            self._limits.check_before_request(self._usage)
            self._limits.check_tokens(self._usage)

    async def _step(self, config: RunnableConfig) -> None:
        """
        Let the graph make one step, which may be several nodes at once.

        It stops after each, so that all that the step has said is told before it is kept.
        """
        events = self._graph.astream(
            self._input,
            config,
            stream_mode=["messages", "custom"],
            subgraphs=True,
            interrupt_after="*",
            durability="sync",
        )
        self._input = None
        async with aclosing(events):  # type: ignore[type-var] # it is a generator
            async for _, mode, told in events:
                if mode == "messages":
                    self._listener.take(told[0])
                elif isinstance(told, str):
                    self._listener.say_text(told)
        # What callbacks have told last.
        await asyncio.sleep(0)
        if self._listener.refused is not None:
            raise self._listener.refused

    async def _may_go_on(self) -> bool:
        self._say_figures()
        return await self._host.before_model()

    def _paused(
        self, kind: PauseType, asked: tuple[Asked, ...] = (), *, begun: bool = True
    ) -> TurnPaused:
        state = self._written_down(type=kind, asked=asked, begun=begun)
        return TurnPaused(type=kind, pending=tuple(one.shown() for one in asked), state=state)

    def _written_down(self, **more: Any) -> str:
        state = GraphState(
            state=self._state.written_down(),
            said=dumped(self._said).decode(),
            spent=self._spent.plus(self._usage),
            **more,
        )
        return state.model_dump_json()

    async def _answered(self, suggest: Suggest) -> TurnEnded:
        texts = [message.text or "" for message in self._said if isinstance(message, ModelResponse)]
        followups = None
        if self._task.generate_followups and await self._may_go_on():
            followups = await suggest("".join(texts), self._usage)
        last = self._said[-1]
        if not isinstance(last, ModelResponse) or last.tool_calls:
            last = ModelResponse(parts=[TextPart("")])
            self._said.append(last)
        last.provider_name = _KEPT
        last.provider_details = {_KEPT: self._state.written_down()}
        return TurnEnded(messages=dumped(self._said).decode(), followups=followups)

    def _say_rejected(self) -> None:
        for question, reason in self._rejected:
            self._listener.reject(question.id, question.tool, question.arguments, reason)

    def _say_figures(self) -> None:
        figures = metrics(self._usage, self._task.agent.model)
        if figures != self._figures:
            self._figures = figures
            self._host.say(figures)

    def _say_rest(self) -> None:
        for unfinished in self._listener.unfinished():
            self._host.say(unfinished)
        self._host.say(metrics(self._usage, self._task.agent.model))


def _kept_by(messages: list[ModelMessage]) -> str | None:
    last = messages[-1]
    if isinstance(last, ModelResponse) and last.provider_name == _KEPT:
        return str((last.provider_details or {}).get(_KEPT))
    return None
