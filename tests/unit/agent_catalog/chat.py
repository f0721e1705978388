"""Conversations with the shipped agents on the demo model."""

from collections.abc import AsyncGenerator
from typing import Any
from uuid import uuid4

from agent_catalog import AgentCatalog, load_catalog
from agent_catalog.models.demo.model import demo_model
from agent_catalog.running.engine import PydanticAiEngine
from agentrun.domain.approvals import ApprovalAction, Decision
from agentrun.domain.conversations import PastTurn
from agentrun.domain.events import ContentDelta, Metrics, ToolEnd, ToolStart
from agentrun.domain.ports import AgentTask
from agentrun.domain.turns import Resumption, TurnEnded, TurnPaused
from tests.fakes.engine_outputs import EngineOutput, outputs_of
from tests.runs import AT

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


class Talk:
    """One conversation with an agent; each turn is told of the earlier ones, as by a store."""

    def __init__(self, agent: str, session_id: str | None = None) -> None:
        self.agent = agent
        self.session_id = session_id or str(uuid4())
        self.history: list[PastTurn] = []
        self.outputs: list[EngineOutput] = []
        self._message = ""
        self._said = ""

    async def say(self, message: str, **fields: Any) -> str:
        """Return the agent's answer, as far as it has come."""
        self._message, self._said = message, ""
        return await self._go_on(**fields)

    async def decide(self, action: ApprovalAction, **fields: Any) -> str:
        """Decide the one call that waits; give what the agent then says."""
        paused = self.outputs[-1]
        assert isinstance(paused, TurnPaused)
        (call,) = paused.pending
        decision = Decision(id=call.id, action=action, **fields)
        return await self._go_on(resumption=Resumption(state=paused.state, decisions=(decision,)))

    async def approve(self, **fields: Any) -> str:
        return await self.decide(ApprovalAction.APPROVE, **fields)

    async def reject(self, reason: str | None = None) -> str:
        return await self.decide(ApprovalAction.REJECT, reason=reason)

    @property
    def tools(self) -> list[str]:
        return [output.name for output in self.outputs if isinstance(output, ToolStart)]

    @property
    def results(self) -> list[Any]:
        return [output.result for output in self.outputs if isinstance(output, ToolEnd)]

    async def _go_on(self, **fields: Any) -> str:
        stream = Chat().stream(
            self.agent,
            self._message,
            session_id=self.session_id,
            history=tuple(self.history),
            **fields,
        )
        self.outputs = [output async for output in stream]
        said = "".join(output.text for output in self.outputs if isinstance(output, ContentDelta))
        self._said += said
        ending = self.outputs[-1]
        if isinstance(ending, TurnEnded):
            self.history.append(
                PastTurn(
                    run_id=f"run-{len(self.history)}",
                    input=self._message,
                    output=self._said,
                    messages=ending.messages,
                    created_at=AT,
                    updated_at=AT,
                )
            )
        return said
