"""A run of the deployed engine with a model that is reached over a socket."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic_ai.models import Model

from agent_catalog import load_catalog
from agent_catalog.models.factory import create_model
from agent_catalog.running.engine import PydanticAiEngine
from agentrun.domain.errors import EngineError
from agentrun.domain.events import (
    ContentDelta,
    Metrics,
    ReasoningDelta,
    ToolEnd,
    ToolError,
    ToolStart,
)
from agentrun.domain.ports import AgentTask
from agentrun.domain.turns import TurnEnded, TurnPaused
from tests.fakes.engine_outputs import Voided, outputs_of

AGENT = """
name: Sample
description: Has tools.
instructions: Be terse.
tools:
  - tests.unit.agent_catalog.sample_tools:add
  - tests.unit.agent_catalog.sample_tools:whose
"""
SHOWN = (ReasoningDelta, ContentDelta, ToolStart, ToolEnd, ToolError)


@dataclass
class EngineRun:
    """
    What callers see of a run: its events, its figures, and the error that it ended in.

    `voided` counts the answers that were taken back; `events` is without what they said, and that
    of the answers before them.
    """

    events: list[Any] = field(default_factory=list)
    metrics: Metrics = field(default_factory=Metrics)
    error: EngineError | None = None
    ending: TurnEnded | TurnPaused | None = None
    voided: int = 0

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, ContentDelta))


class Runner:
    """An engine with one agent, `sample`, on one model; `more` goes to the end of its file."""

    def __init__(self, folder: Path, model_id: str, more: str = "", *, agent: str = AGENT) -> None:
        (folder / "sample.yaml").write_text(agent + more, encoding="utf-8")
        self.catalog = load_catalog(model_id, folder)
        self._models: list[Model] = []
        self.engine = PydanticAiEngine(self.catalog, self._create)

    def _create(self, model_id: str) -> Model:
        self._models.append(create_model(model_id))
        return self._models[-1]

    async def __aenter__(self) -> "Runner":
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections that a model has pooled: its own exit does, after its entry."""
        for model in self._models:
            async with model:
                pass

    def start(self, **task: Any) -> AsyncGenerator[Any, None]:
        """Begin a run; nothing happens before its first event is asked for."""
        return outputs_of(
            self.engine,
            AgentTask(
                run_id="run-1",
                session_id="session-1",
                tenant="acme",
                user_id="ana",
                agent=self.catalog.agent("sample"),
                **{"message": "go", **task},
            ),
        )

    async def run(self, **task: Any) -> EngineRun:
        """Run to the end."""
        run = EngineRun()
        try:
            async for event in self.start(**task):
                if isinstance(event, Voided):
                    run.voided += 1
                    said = (ContentDelta, ReasoningDelta)
                    run.events = [e for e in run.events if not isinstance(e, said)]
                elif isinstance(event, SHOWN):
                    run.events.append(event)
                elif isinstance(event, Metrics):
                    # The last ones count; they stand for the whole run.
                    run.metrics = event
                else:
                    run.ending = event
        except EngineError as error:
            run.error = error
        return run
