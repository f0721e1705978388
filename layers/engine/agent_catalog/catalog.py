"""The catalogue of agents, read from their files without importing engine or tools."""

import logging
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from agent_catalog.agent_file import MODEL_ID_PATTERN, AgentFile, Limits
from agent_catalog.agent_yaml import YamlFile, YamlFileError
from agent_catalog.file_faults import FileFaultError, invalid_fields
from agent_catalog.foreign.rules import attempts_of, check_kind, model_of, named_tools
from agent_catalog.tool_names import ToolReferenceError, describe_tool
from agentrun.domain.agents import Agent, AgentTool
from agentrun.domain.errors import AgentNotFoundError
from agentrun.domain.requests import Budget
from agentrun.domain.value import ID_PATTERN

_SUFFIXES = (".yaml", ".yml")
_BROKEN = "This agent cannot be run: its definition is broken."

_log = logging.getLogger(__name__)


class CatalogError(Exception):
    """An agent's file is broken; the message names the file, the line and each faulty field."""


@dataclass(frozen=True)
class AgentDefinition:
    """An agent as callers see it, and the file that the engine runs it by."""

    agent: Agent
    file: AgentFile


class AgentCatalog:
    """
    The agents that were loaded; implements the port `AgentDirectory`.

    `broken` are agents with broken files, by id: they are listed, but cannot be run.
    """

    def __init__(
        self, definitions: Mapping[str, AgentDefinition], broken: Mapping[str, Agent] | None = None
    ) -> None:
        self._definitions = dict(definitions)
        usable = {agent_id: found.agent for agent_id, found in definitions.items()}
        self._agents = dict(sorted({**(broken or {}), **usable}.items()))

    def agents(self) -> Sequence[Agent]:
        """Return all agents ordered by id, including inactive and broken ones."""
        return tuple(self._agents.values())

    def agent(self, agent_id: str) -> Agent:
        """Return an agent, even one that cannot be run, or raise AgentNotFoundError."""
        if agent_id not in self._agents:
            raise AgentNotFoundError(agent_id)
        return self._agents[agent_id]

    def definition(self, agent_id: str) -> AgentDefinition:
        """Return an agent with its file, or raise AgentNotFoundError or BrokenAgentError."""
        self.agent(agent_id).check_not_broken()
        return self._definitions[agent_id]


def load_catalog(
    default_model: str,
    folder: Path | None = None,
    *,
    on_fault: Callable[[str], None] | None = None,
) -> AgentCatalog:
    """
    Read every `*.yaml` file of a folder as one agent.

    Args:
        default_model: The model of agents whose files name none, such as `demo` or
            `bedrock:<model id>`.
        folder: The folder of files; `agents_folder()` by default.
        on_fault: Called with each fault, as one line; the file's agent is then broken, and the
            others are loaded. Without it, any fault is an error.

    Raises:
        CatalogError: The default model is malformed, or there is no folder of agents; without
            `on_fault` also: a file is broken.
    """
    if not re.match(MODEL_ID_PATTERN, default_model):
        raise CatalogError(f"The default model '{default_model}' is not '<provider>:<name>'.")
    definitions: dict[str, AgentDefinition] = {}
    broken: dict[str, Agent] = {}
    faults: list[str] = []
    folder = folder or agents_folder()
    for path in _files(folder):
        try:
            definitions[path.stem] = _load_definition(path, folder, default_model)
        except CatalogError as error:
            faults.append(str(error))
            if path.parent == folder and ID_PATTERN.fullmatch(path.stem):
                broken[path.stem] = _broken_agent(path.stem, default_model, str(error))
    if faults and on_fault is None:
        raise CatalogError("\n".join(faults))
    if on_fault is not None:
        for fault in faults:
            on_fault(fault)
    return AgentCatalog(definitions, broken)


def agents_folder() -> Path:
    """
    Return the first folder `agents` on the import path.

    It is `/opt/python/agents` on Lambda and `layers/agents/agents` in a checkout.

    Raises:
        CatalogError: There is no such folder.
    """
    # Not by importlib, which would find a package of that name, such as openai-agents'.
    folders = (Path(entry) / "agents" for entry in sys.path)
    for folder in folders:
        if folder.is_dir() and not (folder / "__init__.py").exists():
            return folder
    raise CatalogError("There is no folder 'agents' on the import path.")


def tell_fault(fault: str) -> None:
    """Log a fault in an agent's file."""
    _log.error("an agent's file is broken: %s", fault)


def _files(folder: Path) -> list[Path]:
    """List the files, including those in the wrong folder or with the wrong ending."""
    return sorted(
        path
        for path in folder.rglob("*")
        # Editors' lock and backup files begin with a dot.
        if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")
    )


def _broken_agent(agent_id: str, default_model: str, fault: str) -> Agent:
    return Agent(
        id=agent_id,
        name=agent_id,
        description=_BROKEN,
        model=default_model,
        models=(default_model,),
        active=False,
        fault=fault,
    )


def _load_definition(path: Path, folder: Path, default_model: str) -> AgentDefinition:
    _check_name(path, folder)
    file, source = _read(path)
    try:
        check_kind(file)
        tools = _tools(file) if file.agent is None else named_tools(file)
    except FileFaultError as fault:
        raise CatalogError(fault.told(path.name, source)) from fault
    model = model_of(file, default_model)
    agent = Agent(
        id=path.stem,
        name=file.name,
        description=file.description,
        model=model,
        models=tuple(dict.fromkeys((model, *file.models))),
        active=file.active,
        tools=tools,
        media=file.media,
        custom_system_prompt=file.allow_system_prompt,
        required_scope=file.required_scope,
        max_attempts=attempts_of(file),
        max_duration_s=file.max_duration,
        budget=_budget(file.limits),
        on_budget=file.on_budget,
    )
    return AgentDefinition(agent=agent, file=file)


def _budget(limits: Limits) -> Budget:
    cost = limits.cost_limit
    return Budget(
        max_cost_usd=None if cost is None else float(cost),
        max_total_tokens=limits.total_tokens_limit,
    )


def _check_name(path: Path, folder: Path) -> None:
    name = path.relative_to(folder)
    if path.parent != folder:
        raise CatalogError(f"{name}: agents' files are not read from subfolders.")
    if path.suffix != ".yaml":
        raise CatalogError(f"{name}: an agent's file ends in .yaml; rename it to {path.stem}.yaml.")
    if not ID_PATTERN.fullmatch(path.stem):
        raise CatalogError(
            f"{name}: '{path.stem}' cannot be an agent's id, which has at most 64 letters, digits,"
            " _ or -."
        )


def _read(path: Path) -> tuple[AgentFile, YamlFile]:
    try:
        source = YamlFile.parse(path.read_text(encoding="utf-8"))
    except YamlFileError as error:
        line = "" if error.line is None else f":{error.line}"
        raise CatalogError(f"{path.name}{line}: {error}") from error
    except OSError as error:
        raise CatalogError(f"{path.name}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CatalogError(f"{path.name}: is not UTF-8: {error.reason}") from error
    try:
        return AgentFile.model_validate(source.content), source
    except ValidationError as error:
        told = (fault.told(path.name, source) for fault in invalid_fields(error, source))
        raise CatalogError("; ".join(told)) from error


def _tools(file: AgentFile) -> tuple[AgentTool, ...]:
    tools = [_tool(file, position) for position in range(len(file.tools))]
    named_elsewhere: list[tuple[tuple[int | str, ...], str]] = [
        *((("approval", position), name) for position, name in enumerate(file.approval)),
        *((("replay", name), name) for name in file.replay),
    ]
    for location, name in named_elsewhere:
        if name not in {tool.name for tool in tools}:
            raise FileFaultError(location, f"'{name}' is not among the tools")
    places: list[tuple[str, int]] = [("tools", position) for position in range(len(tools))]
    for position, server in enumerate(file.mcp):
        offered = server.agent_tools()
        tools += offered
        places += [("mcp", position)] * len(offered)
    named: set[str] = set()
    for tool, place in zip(tools, places, strict=True):
        if tool.name in named:
            raise FileFaultError(place, f"'{tool.name}' appears twice")
        named.add(tool.name)
    return tuple(tools)


def _tool(file: AgentFile, position: int) -> AgentTool:
    try:
        return describe_tool(file.tools[position], approval=file.approval, replay=file.replay)
    except ToolReferenceError as error:
        raise FileFaultError(("tools", position), str(error)) from error
