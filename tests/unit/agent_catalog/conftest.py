"""One agent with sample tools, run with a model that is scripted or the demo model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.models import Model
from pydantic_ai.models.function import FunctionModel, StreamFunctionDef

from agent_catalog import load_catalog
from agent_catalog.engine import PydanticAiEngine
from agentrun.domain.errors import EngineError
from agentrun.domain.events import EngineEvent
from agentrun.domain.ports import AgentTask

TOOLS = ("add", "locate", "whose", "refuse", "crash", "hang", "launch")
SAMPLE_AGENT = f"""
name: Sample
description: Has one tool of each kind.
instructions: Be {{{{terse}}}}.
tools: [{", ".join(f"tests.unit.agent_catalog.sample_tools:{name}" for name in TOOLS)}]
approval: [launch]
limits:
  request_limit: 4
"""


class Bench:
    """Runs the sample agent and keeps what came: `events`, and `error` if it failed."""

    def __init__(self, folder: Path, model: Model) -> None:
        (folder / "sample.yaml").write_text(SAMPLE_AGENT, encoding="utf-8")
        self.catalog = load_catalog("demo", folder)
        self.engine = PydanticAiEngine(self.catalog, lambda _: model)
        self.error: EngineError | None = None

    def task(self, message: str, **fields: Any) -> AgentTask:
        return AgentTask(
            run_id="run-1",
            session_id="session-1",
            tenant="acme",
            user_id="ana",
            agent=self.catalog.agent("sample"),
            message=message,
            **fields,
        )

    async def run(self, message: str = "go", **fields: Any) -> list[EngineEvent]:
        events = []
        try:
            async for event in self.engine.run(self.task(message, **fields)):
                events.append(event)  # noqa: PERF401 - what came before an error is to be kept
        except EngineError as error:
            self.error = error
        return events


@pytest.fixture
def bench(tmp_path: Path) -> Callable[[StreamFunctionDef], Bench]:
    return lambda stream: Bench(tmp_path, FunctionModel(stream_function=stream))
