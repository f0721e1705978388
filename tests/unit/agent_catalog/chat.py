"""Single messages to the shipped agents on the demo model; `AsyncTalk` is for conversations."""

from collections.abc import AsyncGenerator
from typing import Any

from agent_catalog import AgentCatalog, load_catalog
from agent_catalog.models.demo.model import demo_model
from agent_catalog.running.engine import PydanticAiEngine
from agentrun.domain.events import ContentDelta, Metrics
from agentrun.domain.ports import AgentTask
from agentrun.domain.turns import TurnEnded, TurnPaused
from tests.fakes.engine_outputs import EngineOutput, outputs_of

SHIPPED = load_catalog("demo")


class Chat:
    """Puts single messages to agents, each without a history."""

    def __init__(self, catalog: AgentCatalog | None = None) -> None:
        self.catalog = catalog or SHIPPED
        self.engine = PydanticAiEngine(self.catalog, lambda _: demo_model(delay_s=0))

    def stream(self, agent: str, message: str, **fields: Any) -> AsyncGenerator[EngineOutput, None]:
        task: dict[str, Any] = {
            "run_id": "run-1",
            "session_id": "session-1",
            "tenant": "acme",
            "user_id": "ana",
            "agent": self.catalog.agent(agent),
            "message": message,
        }
        return outputs_of(self.engine, AgentTask(**(task | fields)))

    async def ask(self, agent: str, message: str, **fields: Any) -> tuple[str, list[EngineOutput]]:
        """Return the answer, and what came besides its fragments, figures and ending excepted."""
        outputs = [output async for output in self.stream(agent, message, **fields)]
        text = "".join(output.text for output in outputs if isinstance(output, ContentDelta))
        left_out = ContentDelta | Metrics | TurnEnded | TurnPaused
        return text, [output for output in outputs if not isinstance(output, left_out)]
