"""A pydantic-ai agent that is ready to run, whatever it was made from."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pydantic_ai import Agent as AiAgent
from pydantic_ai import DeferredToolRequests, Tool
from pydantic_ai.run import AgentRun

from agent_catalog.agent_file import AgentFile
from agent_catalog.json_form import whole_text
from agent_catalog.toolkit import Session
from agentrun.domain.errors import EngineError

Output = str | DeferredToolRequests


@dataclass(frozen=True)
class BuiltAgent:
    """A pydantic-ai agent, the file that it was built from, and its own tools by name."""

    file: AgentFile
    agent: AiAgent[Any, Output]
    tools: dict[str, Tool[Any]]

    @property
    def has_others(self) -> bool:
        """Whether the agent has tools that its file does not name."""
        return bool(self.file.capabilities)

    @asynccontextmanager
    async def iterate(
        self, session: Session, *, instructions: str | None, **run: Any
    ) -> AsyncGenerator[AgentRun[Any, Output], None]:
        """
        Run the agent, a node of its graph after the other.

        Args:
            session: What its tools are handed.
            instructions: Those of the request, in place of the agent's own.
            run: What else `Agent.iter` takes.
        """
        # Set per run, since a request may replace them; the agent itself has none.
        told = instructions or not_blank(self.file.instructions)
        async with self.agent.iter(deps=session, instructions=told, **run) as graph:
            yield graph


def not_blank(text: str | None) -> str | None:
    """Return instructions that a model takes; Bedrock refuses blank ones."""
    return whole_text(text) if text and text.strip() else None


def not_set_up(reason: str) -> EngineError:
    """Return the error of an agent that its file and its code describe in different ways."""
    return EngineError(f"The agent is not set up correctly: {reason}.")
