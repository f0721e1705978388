"""
For tests of agents: conversations on the demo model, without a network.

The demo model follows fixed rules, whatever model an agent's file names: `/call TOOL {"a": 1}`
calls a tool. So a test is fast, costs nothing and always ends in the same way.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from agent_catalog import AgentCatalog, load_catalog
from agent_catalog.models.demo.model import demo_model
from agent_catalog.running.engine import PydanticAiEngine
from agentrun.domain.approvals import ApprovalAction, Decision
from agentrun.domain.conversations import PastTurn
from agentrun.domain.events import ContentDelta, EngineEvent, ToolEnd, ToolError, ToolStart
from agentrun.domain.ports import AgentTask
from agentrun.domain.steps import StepContent
from agentrun.domain.turns import Resumption, TurnEnded, TurnEnding, TurnPaused

__all__ = ["AsyncTalk", "Talk"]


class AsyncTalk:
    """
    One conversation with an agent, for tests that are coroutines; `Talk` is for all others.

    Args:
        agent: The agent's id; its file is found as on Lambda, in the first folder `agents` on the
            import path.
        session_id: The session's id; by default a new one.
        catalog: The agents, if they are others.
    """

    def __init__(
        self, agent: str, session_id: str | None = None, *, catalog: AgentCatalog | None = None
    ) -> None:
        self.agent = agent
        self.session_id = session_id or str(uuid4())
        self.history: list[PastTurn] = []
        self.outputs: list[EngineEvent | TurnEnding] = []
        """What the last call of a method has brought, in order; the last one is how it ended."""
        self._catalog = catalog or load_catalog("demo")
        self._message = ""
        self._said = ""

    async def say(self, message: str, **fields: Any) -> str:
        """Say something; return the agent's answer, as far as it has come."""
        self._message, self._said = message, ""
        return await self._go_on(**fields)

    async def approve(self, arguments: Mapping[str, Any] | None = None) -> str:
        """Approve the one call that waits, with other arguments if you like; return the answer."""
        return await self.decide(ApprovalAction.APPROVE, arguments=arguments)

    async def reject(self, reason: str | None = None) -> str:
        """Reject the one call that waits; return what the agent then says."""
        return await self.decide(ApprovalAction.REJECT, reason=reason)

    async def decide(self, action: ApprovalAction, **fields: Any) -> str:
        """
        Decide the one call that waits; return what the agent then says.

        Raises:
            AssertionError: None waits, or several do.
        """
        if len(self.pending) != 1:
            raise AssertionError(f"of {self.agent}, {self.pending or 'nothing'} waits for approval")
        paused = self.outputs[-1]
        assert isinstance(paused, TurnPaused)  # noqa: S101 - as `pending` has found
        decision = Decision(id=paused.pending[0].id, action=action, **fields)
        return await self._go_on(resumption=Resumption(state=paused.state, decisions=(decision,)))

    @property
    def pending(self) -> list[str]:
        """The names of the tools whose calls wait for approval."""
        ending = self.outputs[-1] if self.outputs else None
        return [call.tool_name for call in ending.pending] if isinstance(ending, TurnPaused) else []

    @property
    def tools(self) -> list[str]:
        """The names of the tools that were called, in order, since the last `say` or decision."""
        return [output.name for output in self.outputs if isinstance(output, ToolStart)]

    @property
    def results(self) -> list[Any]:
        """What these calls have returned, as JSON; those that failed are left out."""
        return [output.result for output in self.outputs if isinstance(output, ToolEnd)]

    @property
    def errors(self) -> list[str]:
        """What callers are told of the calls that have failed."""
        return [output.error for output in self.outputs if isinstance(output, ToolError)]

    async def _go_on(self, **fields: Any) -> str:
        task = {
            "run_id": f"run-{len(self.history) + 1}",
            "session_id": self.session_id,
            "tenant": "acme",
            "user_id": "ana",
            "agent": self._catalog.agent(self.agent),
            "message": self._message,
            "history": tuple(self.history),
        }
        host = _Host()
        engine = PydanticAiEngine(self._catalog, lambda _: demo_model(delay_s=0))
        ending = await engine.run(AgentTask(**(task | fields)), host)
        self.outputs = [*host.said, ending]
        self._said += "".join(o.text for o in host.said if isinstance(o, ContentDelta))
        if isinstance(ending, TurnEnded):
            self._remember(ending)
        return self._said

    def _remember(self, ending: TurnEnded) -> None:
        now = datetime.now(UTC)
        self.history.append(
            PastTurn(
                run_id=f"run-{len(self.history) + 1}",
                input=self._message,
                output=self._said,
                messages=ending.messages,
                created_at=now,
                updated_at=now,
            )
        )


class Talk:
    """
    One conversation with an agent, which remembers the earlier turns.

    Args:
        agent: The agent's id: the name of its file, without `.yaml`.
    """

    def __init__(self, agent: str) -> None:
        self._talk = AsyncTalk(agent)

    def say(self, message: str) -> str:
        """Say something; return the agent's answer, as far as it has come."""
        return asyncio.run(self._talk.say(message))

    def approve(self, arguments: Mapping[str, Any] | None = None) -> str:
        """Approve the one call that waits, with other arguments if you like; return the answer."""
        return asyncio.run(self._talk.approve(arguments))

    def reject(self, reason: str | None = None) -> str:
        """Reject the one call that waits; return what the agent then says."""
        return asyncio.run(self._talk.reject(reason))

    @property
    def pending(self) -> list[str]:
        """The names of the tools whose calls wait for approval."""
        return self._talk.pending

    @property
    def tools(self) -> list[str]:
        """The names of the tools that were called, in order, since the last `say` or decision."""
        return self._talk.tools

    @property
    def results(self) -> list[Any]:
        """What these calls have returned, as JSON; those that failed are left out."""
        return self._talk.results

    @property
    def errors(self) -> list[str]:
        """What callers are told of the calls that have failed."""
        return self._talk.errors


class _Host:
    """The engine's `TurnHost`: notes what is said, and lets everything happen."""

    def __init__(self) -> None:
        self.said: list[EngineEvent] = []

    def say(self, event: EngineEvent) -> None:
        self.said.append(event)

    def void_answer(self) -> None:
        """Do nothing: the demo model's answers do not break off."""

    async def keep(self, content: StepContent, *, say: EngineEvent | None = None) -> None:  # noqa: ARG002 - nothing goes on with this run
        if say is not None:
            self.said.append(say)

    async def before_model(self) -> bool:
        return True

    def before_tool(self) -> None:
        """Let it begin."""
