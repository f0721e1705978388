"""Interrupts of a LangGraph graph as approvals, and decisions as what it goes on with."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from agent_catalog.json_form import to_json_value
from agent_catalog.running.pauses import Spent
from agent_catalog.tool_names import plain_tool_name
from agentrun.domain.approvals import ApprovalAction, Decision
from agentrun.domain.errors import CannotResumeError
from agentrun.domain.events import PauseType, PendingApproval
from agentrun.domain.turns import Resumption


class Asked(BaseModel):
    """A question of a graph; `action` counts those of LangChain's middleware in one interrupt."""

    model_config = ConfigDict(defer_build=True)

    id: str
    interrupt: str
    action: int | None = None
    tool: str
    arguments: JsonValue

    def shown(self) -> PendingApproval:
        """Return what the approver is shown."""
        return PendingApproval(
            id=self.id, tool=self.tool, tool_name=self.tool, arguments=self.arguments
        )


class GraphState(BaseModel):
    """
    How far a turn has come: the graph's state, what was said, and what it has used.

    `begun` is False if the budget was spent before the graph was asked.
    """

    model_config = ConfigDict(defer_build=True)

    graph: Literal[1] = 1
    state: str
    said: str
    spent: Spent
    begun: bool = True
    type: PauseType = PauseType.TOOL_APPROVAL
    asked: tuple[Asked, ...] = ()


def asked_by(tasks: Sequence[Any]) -> tuple[Asked, ...]:
    """Return the questions of the tasks that wait, in their order."""
    return tuple(
        question
        for task in tasks
        for interrupt in task.interrupts
        for question in _questions(plain_tool_name(task.name), interrupt.id, interrupt.value)
    )


def _questions(node: str, interrupt_id: str, value: Any) -> list[Asked]:
    # The form of LangChain's HumanInTheLoopMiddleware.
    actions = value.get("action_requests") if isinstance(value, Mapping) else None
    if not isinstance(actions, list) or not actions:
        told = to_json_value(value)
        return [Asked(id=interrupt_id, interrupt=interrupt_id, tool=node[:64], arguments=told)]
    return [
        Asked(
            id=f"{interrupt_id}.{number}",
            interrupt=interrupt_id,
            action=number,
            tool=str(action["name"]),
            arguments=to_json_value(action.get("args") or {}),
        )
        for number, action in enumerate(actions)
    ]


def read_pause(resumption: Resumption) -> GraphState:
    """
    Read a turn that was written down, and check that the decisions are for it.

    Raises:
        CannotResumeError: It cannot be read, or the decisions are for other questions.
    """
    try:
        state = GraphState.model_validate_json(resumption.state)
    except ValueError as error:
        raise CannotResumeError("The pause is recorded in a form that is not known.") from error
    if {question.id for question in state.asked} != {d.id for d in resumption.decisions}:
        raise CannotResumeError("The decisions are not for the questions that wait.")
    return state


def answers(asked: Sequence[Asked], decisions: Sequence[Decision]) -> dict[str, Any]:
    """
    Return what each interrupt gives, by its id.

    A plain one gives True, or the approver's arguments, or False: never anything that a graph
    could take for a yes by mistake.
    """
    decided = {decision.id: decision for decision in decisions}
    given: dict[str, Any] = {}
    for question in asked:
        decision = decided[question.id]
        if question.action is None:
            given[question.interrupt] = _plain(decision)
        else:
            of_all = given.setdefault(question.interrupt, {"decisions": []})
            of_all["decisions"].append(_of_middleware(question, decision))
    return given


def _plain(decision: Decision) -> Any:
    if decision.action is ApprovalAction.REJECT:
        return False
    return True if decision.arguments is None else decision.arguments


def _of_middleware(question: Asked, decision: Decision) -> dict[str, Any]:
    if decision.action is ApprovalAction.REJECT:
        reason = decision.reason or "no reason was given."
        return {"type": "reject", "message": f"The call was rejected: {reason}"}
    if decision.arguments is None:
        return {"type": "approve"}
    action = {"name": question.tool, "args": decision.arguments}
    return {"type": "edit", "edited_action": action}
