"""Which agents there are, read from their files; imports neither the engine nor the tools."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError

from agent_catalog.agent_file import MODEL_ID_PATTERN, AgentFile
from agent_catalog.tool_reference import ToolReferenceError, describe_tool
from agentrun.domain.agents import Agent, AgentTool
from agentrun.domain.errors import AgentNotFoundError
from agentrun.domain.model import ID_PATTERN

AGENTS_FOLDER = Path(__file__).parent / "agents"

# The C loader is several times faster, which a cold start notices; wheels of PyYAML have it.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class CatalogError(Exception):
    """An agent's file is broken; the message names the file and each field at fault."""


@dataclass(frozen=True)
class AgentDefinition:
    """An agent as callers see it, and the file that tells the engine how to run it."""

    agent: Agent
    file: AgentFile


class AgentCatalog:
    """The agents that were loaded; implements the port `AgentDirectory`."""

    def __init__(self, definitions: Mapping[str, AgentDefinition]) -> None:
        self._definitions = dict(sorted(definitions.items()))

    def agents(self) -> Sequence[Agent]:
        """Give all agents, inactive ones too, ordered by id."""
        return tuple(definition.agent for definition in self._definitions.values())

    def agent(self, agent_id: str) -> Agent:
        """Give one agent, active or not, or raise AgentNotFoundError."""
        return self.definition(agent_id).agent

    def definition(self, agent_id: str) -> AgentDefinition:
        """Give one agent with its file, or raise AgentNotFoundError."""
        definition = self._definitions.get(agent_id)
        if definition is None:
            raise AgentNotFoundError(agent_id)
        return definition


def load_catalog(default_model: str, folder: Path = AGENTS_FOLDER) -> AgentCatalog:
    """
    Read every `*.yaml` file of a folder as one agent.

    Args:
        default_model: The model of the agents whose file names none, such as `demo` or
            `bedrock:<model id>`.
        folder: Where the files are.

    Raises:
        CatalogError: A file, or the default model, breaks the format.
    """
    if not re.match(MODEL_ID_PATTERN, default_model):
        raise CatalogError(f"The default model '{default_model}' is not '<provider>:<name>'.")
    return AgentCatalog(
        {path.stem: _load_definition(path, default_model) for path in folder.glob("*.yaml")}
    )


def _load_definition(path: Path, default_model: str) -> AgentDefinition:
    if not ID_PATTERN.fullmatch(path.stem):
        raise CatalogError(f"{path.name}: '{path.stem}' cannot be an id, letters, digits, _ or -.")
    file = _read(path)
    model = file.model or default_model
    agent = Agent(
        id=path.stem,
        name=file.name,
        description=file.description,
        model=model,
        models=tuple(dict.fromkeys((model, *file.models))),
        active=file.active,
        tools=_tools(path, file),
        media=file.media,
        custom_system_prompt=file.allow_system_prompt,
        required_scope=file.required_scope,
    )
    return AgentDefinition(agent=agent, file=file)


def _read(path: Path) -> AgentFile:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - safe
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CatalogError(f"{path.name}: is not YAML: {error}") from error
    try:
        return AgentFile.model_validate(content)
    except ValidationError as error:
        faults = (
            f"{'.'.join(str(step) for step in fault['loc']) or 'the file'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise CatalogError(f"{path.name}: {'; '.join(faults)}") from error


def _tools(path: Path, file: AgentFile) -> tuple[AgentTool, ...]:
    tools = [_tool(path, file, position) for position in range(len(file.tools))]
    for position, name in enumerate(file.approval):
        if name not in {tool.name for tool in tools}:
            raise CatalogError(f"{path.name}: approval.{position}: '{name}' is not among the tools")
    places = [f"tools.{position}" for position in range(len(tools))]
    for position, server in enumerate(file.mcp):
        offered = server.agent_tools()
        tools += offered
        places += [f"mcp.{position}"] * len(offered)
    named: set[str] = set()
    for tool, place in zip(tools, places, strict=True):
        if tool.name in named:
            raise CatalogError(f"{path.name}: {place}: '{tool.name}' is there twice")
        named.add(tool.name)
    return tuple(tools)


def _tool(path: Path, file: AgentFile, position: int) -> AgentTool:
    try:
        tool = describe_tool(file.tools[position])
    except ToolReferenceError as error:
        raise CatalogError(f"{path.name}: tools.{position}: {error}") from error
    return tool.model_copy(update={"requires_approval": tool.name in file.approval})
