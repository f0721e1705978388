"""Agents as the API answers with them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AgentTool:
    """A tool that an agent may call."""

    name: str
    description: str
    requires_approval: bool


@dataclass(frozen=True, slots=True)
class Agent:
    """What an agent is and takes: the models of `RunOptions.model`, the MIME types of media."""

    id: str
    name: str
    description: str
    model: str
    models: tuple[str, ...]
    active: bool
    tools: tuple[AgentTool, ...]
    media: tuple[str, ...]
