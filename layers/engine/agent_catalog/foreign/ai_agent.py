"""A pydantic-ai agent that was made in Python, run as those are that a file describes."""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from inspect import isawaitable
from types import NoneType
from typing import Any

from pydantic_ai import Agent as AiAgent
from pydantic_ai import DeferredToolRequests, RunContext, Tool, ToolDefinition, ToolReturn
from pydantic_ai.capabilities import AbstractCapability, CapabilityOrdering
from pydantic_ai.exceptions import UsageLimitExceeded
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.run import AgentRun
from pydantic_ai.toolsets import AbstractToolset, FunctionToolset

from agent_catalog.agent_file import AgentFile
from agent_catalog.binding.tool import bounded, failures_shown
from agent_catalog.catalog import CatalogError
from agent_catalog.json_form import to_json_value
from agent_catalog.running.built import BuiltAgent, Output, not_set_up
from agent_catalog.tool_names import imported, place_of_object
from agent_catalog.toolkit import Session
from agentrun.domain.errors import AgentrunError, EngineError

_WITHOUT_DEPS = (object, NoneType, Any, Session)


@dataclass(frozen=True)
class ImportedAgent(BuiltAgent):
    """An agent from Python; `make_deps` makes its dependencies, by default the session itself."""

    make_deps: Callable[[Session], Any] | None = None
    knows_all_tools: bool = True

    @property
    def has_others(self) -> bool:
        """Whether it has tools that its file does not name: it may have any."""
        return True

    @asynccontextmanager
    async def iterate(
        self, session: Session, *, instructions: str | None, **run: Any
    ) -> AsyncGenerator[AgentRun[Any, Output], None]:
        """Run the agent with its own instructions, or with those that stand in their place."""
        deps = session if self.make_deps is None else self.make_deps(session)
        if isawaitable(deps):
            deps = await deps
        override = self.agent.override(instructions=instructions) if instructions else nullcontext()
        gate = _NamedTools(self.file, session, check_names=not self.knows_all_tools)
        run |= {
            "output_type": [str, DeferredToolRequests],
            "model_settings": {**self.file.model_settings, **run["model_settings"]},
            "capabilities": [*run["capabilities"], gate],
        }
        with override:
            async with self.agent.iter(deps=deps, **run) as graph:
                yield graph


def import_agent(agent_id: str, file: AgentFile) -> ImportedAgent:
    """
    Import an agent and check that it can be run as it is.

    Raises:
        EngineError: It cannot; the cause says why, and where.
    """
    assert file.agent is not None  # noqa: S101 - as the caller has looked up
    try:
        agent = imported(file.agent)
        tools, knows_all = _tools_of(agent) if isinstance(agent, AiAgent) else ({}, True)
        for reason in _faults(agent, file, tools, knows_all=knows_all):
            told = f"{agent_id}.yaml: agent: {place_of_object(file.agent)}: {reason}"
            raise CatalogError(told)
        make_deps = imported(file.deps) if file.deps else None
    except Exception as error:
        raise EngineError(f"The agent '{agent_id}' cannot be loaded.") from error
    return ImportedAgent(file, agent, tools, make_deps, knows_all)


def _tools_of(agent: AiAgent[Any, Any]) -> tuple[dict[str, Tool[Any]], bool]:
    """Return the agent's functions by name, and whether these are all of its tools."""
    tools: dict[str, Tool[Any]] = {}
    others: list[AbstractToolset[Any]] = []
    for toolset in agent.toolsets:
        if isinstance(toolset, FunctionToolset):
            tools.update(toolset.tools)
        else:
            others.append(toolset)
    return tools, not others


def _faults(
    agent: Any, file: AgentFile, tools: dict[str, Tool[Any]], *, knows_all: bool
) -> Iterator[str]:
    if not isinstance(agent, AiAgent):
        yield f"must be an Agent of pydantic-ai, not {type(agent).__name__}"
        return
    if agent.output_type is not str and agent.output_type != [str, DeferredToolRequests]:
        yield "output_type: only text (str) can be streamed as an answer; leave it out"
    if vars(agent)["_output_validators"]:
        yield "output_validator: the answer is streamed before it could be refused; take it out"
    if any(vars(agent)[f"_system_prompt{kind}"] for kind in ("s", "_functions")):
        yield "system_prompt: is kept in the history and lost with it; use instructions"
    if agent.model is not None and file.model is None:
        yield (
            f"model: callers are shown the file's model; add 'model: {_id_of(agent.model)}' there,"
            " which then is used"
        )
    if agent.deps_type not in _WITHOUT_DEPS and file.deps is None:
        yield (
            "deps_type: add 'deps: tools.module:function' to the file, a function that takes the"
            " Session and returns them"
        )
    yield from _tool_faults(file, tools, knows_all=knows_all)


def _tool_faults(file: AgentFile, tools: dict[str, Tool[Any]], *, knows_all: bool) -> Iterator[str]:
    for name, tool in tools.items():
        if tool.requires_approval and name not in file.approval:
            yield f"the tool '{name}' needs an approval; name it under 'approval' in the file, too"
    if knows_all:
        for name in (*file.approval, *file.replay):
            if name not in tools:
                yield f"the file names '{name}', which is not among the agent's tools"


def _id_of(model: Any) -> str:
    return model if isinstance(model, str) else f"{model.system}:{model.model_name}"


class _NamedTools(AbstractCapability[Any]):
    """
    Treats an agent's own tools as a file's: what the file says of them, and how they fail.

    `check_names` says that the names of some tools are known only in a run, as those of toolsets
    that ask a server.
    """

    def __init__(self, file: AgentFile, session: Session, *, check_names: bool) -> None:
        self._file = file
        self._session = session
        self._unchecked = {*file.approval, *file.replay} if check_names else set()

    def get_ordering(self) -> CapabilityOrdering:
        """Come last, after other capabilities' work before a call."""
        return CapabilityOrdering(position="innermost")

    async def prepare_tools(
        self,
        ctx: RunContext[Any],  # noqa: ARG002 - inherited
        tool_defs: list[ToolDefinition],
    ) -> list[ToolDefinition]:
        """Let the tools wait for an approval that the file names, and no others."""
        missing = self._unchecked - {tool.name for tool in tool_defs}
        self._unchecked.clear()
        if missing:
            raise not_set_up(f"it has no tool '{min(missing)}', which its file names")
        return [self._prepared(tool) for tool in tool_defs]

    def _prepared(self, tool: ToolDefinition) -> ToolDefinition:
        if tool.kind == "external":
            raise not_set_up(f"its tool '{tool.name}' is executed elsewhere")
        if tool.name in self._file.approval:
            return replace(tool, kind="unapproved", sequential=True)
        if tool.kind == "unapproved":
            raise not_set_up(f"'{tool.name}' needs an approval that its file does not name")
        return tool

    async def before_tool_execute(
        self,
        ctx: RunContext[Any],  # noqa: ARG002 - inherited
        *,
        call: ToolCallPart,  # noqa: ARG002 - inherited
        tool_def: ToolDefinition,  # noqa: ARG002 - inherited
        args: dict[str, Any],
    ) -> dict[str, Any]:
        """Return the arguments unchanged, or raise MayNotActError if the call may not be made."""
        self._session.before_tool()
        return args

    async def after_tool_execute(
        self,
        ctx: RunContext[Any],  # noqa: ARG002 - inherited
        *,
        call: ToolCallPart,
        tool_def: ToolDefinition,  # noqa: ARG002 - inherited
        args: dict[str, Any],  # noqa: ARG002 - inherited
        result: Any,
    ) -> Any:
        """Return the result, cut to what a conversation can hold, and note it for later calls."""
        if isinstance(result, ToolReturn):
            kept: Any = replace(result, return_value=bounded(result.return_value))
            self._session.results.add(call.tool_name, to_json_value(kept.return_value))
            return kept
        kept = bounded(result)
        self._session.results.add(call.tool_name, to_json_value(kept))
        return kept

    async def on_tool_execute_error(
        self,
        ctx: RunContext[Any],  # noqa: ARG002 - inherited
        *,
        call: ToolCallPart,
        tool_def: ToolDefinition,  # noqa: ARG002 - inherited
        args: dict[str, Any],  # noqa: ARG002 - inherited
        error: Exception,
    ) -> Any:
        """Let the model see that the call failed; what ends the run is raised again."""
        if isinstance(error, AgentrunError | UsageLimitExceeded):
            raise error
        with failures_shown(call.tool_name):
            raise error
