"""Runs of an agent behind the Agent2Agent protocol."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent_catalog import load_catalog
from agent_catalog.running.engine import PydanticAiEngine
from agentrun.domain.conversations import PastTurn
from agentrun.domain.events import ContentDelta
from agentrun.domain.ports import AgentTask
from agentrun.domain.steps import Answered, Began, Step, StepContent
from agentrun.domain.turns import TurnEnded, TurnEnding
from tests.fakes.a2a_server import CONTEXT, TASK
from tests.fakes.engine_outputs import FakeHost
from tests.runs import AT


class Rig:
    """Runs an agent elsewhere, and goes on with what it has left."""

    def __init__(self, folder: Path, url: str, more: str = "") -> None:
        endpoint = f"endpoint: {{a2a: '{url}', secret: REMOTE_KEY}}\n{more}"
        (folder / "remote.yaml").write_text(f"name: R\ndescription: Elsewhere.\n{endpoint}")
        self.catalog = load_catalog("demo", folder)
        self.agent = self.catalog.agent("remote")
        self.history: list[PastTurn] = []
        self.events: list[Any] = []
        self.host = FakeHost()

    async def run(
        self,
        message: str = "go",
        *,
        may_ask: Callable[[], bool] = lambda: True,
        keeping: Callable[[StepContent], Any] | None = None,
        **fields: Any,
    ) -> TurnEnding:
        self.events = []
        more: dict[str, Any] = {"keeping": keeping} if keeping else {}
        before = fields.get("steps", ())
        self.host = FakeHost(self.events.append, may_ask=may_ask, before=before, **more)
        who = {"tenant": "acme", "user_id": "ana", "run_id": "run-1", "session_id": "session-1"}
        asked = {"agent": self.agent, "message": message, "history": tuple(self.history), **who}
        return await PydanticAiEngine(self.catalog).run(AgentTask(**(asked | fields)), self.host)

    async def turn(self, message: str) -> str:
        ending = await self.run(message)
        assert isinstance(ending, TurnEnded)
        turn = {"run_id": "r", "created_at": AT, "updated_at": AT, "messages": ending.messages}
        self.history.append(PastTurn(input=message, output=self.text, **turn))
        return self.text

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, ContentDelta))


def attached_to(task_id: str = TASK) -> tuple[Step, ...]:
    kept = Answered(message=f'{{"context":"{CONTEXT}","task":"{task_id}"}}')
    contents = Began(acting=("message",)), kept
    return tuple(
        Step(number=number, event_id=number, content=content)
        for number, content in enumerate(contents, 1)
    )
