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
    """
    A question of a graph.

    Those of LangChain's HumanInTheLoopMiddleware are about a call of a tool: `action` counts them
    where one interrupt asks about several, and `is_call` says that it asks about one alone.
    `allowed` are the decisions that the middleware takes; none if it does not say.
    """

    model_config = ConfigDict(defer_build=True)

    id: str
    interrupt: str
    action: int | None = None
    is_call: bool = False
    tool: str
    arguments: JsonValue
    allowed: tuple[str, ...] = ()

    @property
    def is_about_call(self) -> bool:
        """Whether it is the middleware's, and not a node's own."""
        return self.is_call or self.action is not None

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
        for question in _questions(plain_tool_name(task.name), interrupt)
    )


def _questions(node: str, interrupt: Any) -> list[Asked]:
    value = interrupt.value
    told = value if isinstance(value, Mapping) else {}
    if actions := told.get("action_requests"):
        return _of_actions(interrupt.id, actions, told.get("review_configs") or ())
    own: dict[str, Any] = {"id": interrupt.id, "interrupt": interrupt.id}
    if told.get("type") == "tool_approval" and "name" in told:
        # The middleware's, where its `interrupt_mode` is `per_call`.
        allowed = _types_in(getattr(interrupt, "response_schema", None))
        arguments = to_json_value(told.get("args") or {})
        name = str(told["name"])
        return [Asked(**own, is_call=True, tool=name, arguments=arguments, allowed=allowed)]
    return [Asked(**own, tool=node[:64], arguments=to_json_value(value))]


def _of_actions(interrupt_id: str, actions: Sequence[Any], configs: Sequence[Any]) -> list[Asked]:
    allowed = {each["action_name"]: tuple(each["allowed_decisions"]) for each in configs}
    return [
        Asked(
            id=f"{interrupt_id}.{number}",
            interrupt=interrupt_id,
            action=number,
            tool=str(action["name"]),
            arguments=to_json_value(action.get("args") or {}),
            allowed=allowed.get(action["name"], ()),
        )
        for number, action in enumerate(actions)
    ]


def _types_in(schema: Any) -> tuple[str, ...]:
    """Return the types of the decisions that a JSON Schema takes; none if it does not say."""
    if not isinstance(schema, Mapping):
        return ()
    several = (schema.get("discriminator") or {}).get("mapping")
    only = ((schema.get("properties") or {}).get("type") or {}).get("const")
    return tuple(several) if several else (str(only),) if only else ()


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

    Raises:
        CannotResumeError: LangChain's middleware does not take a decision.
    """
    decided = {decision.id: decision for decision in decisions}
    given: dict[str, Any] = {}
    for question in asked:
        decision = decided[question.id]
        if question.is_call:
            given[question.interrupt] = _of_middleware(question, decision)
        elif question.action is None:
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
    """Return a decision as the middleware takes it, which fails on one that it does not allow."""
    given = _decision(question, decision)
    if question.allowed and given["type"] not in question.allowed:
        raise CannotResumeError(
            f"A call of '{question.tool}' takes {_listed(question.allowed)}, not {given['type']}."
        )
    return given


def _listed(allowed: Sequence[str]) -> str:
    how = {"respond": 'respond (approve with {"message": "…"} as its arguments)'}
    return ", ".join(how.get(each, each) for each in allowed)


def _decision(question: Asked, decision: Decision) -> dict[str, Any]:
    if decision.action is ApprovalAction.REJECT:
        return {"type": "reject", "message": rejection(decision)}
    arguments = decision.arguments
    if arguments is None:
        return {"type": "approve"}
    if "respond" in question.allowed and "edit" not in question.allowed:
        message = arguments.get("message")
        if isinstance(message, str) and len(arguments) == 1:
            return {"type": "respond", "message": message}
    return {"type": "edit", "edited_action": {"name": question.tool, "args": arguments}}


def rejection(decision: Decision) -> str:
    """Return what the model and the caller are told of a rejected call."""
    return f"The call was rejected: {decision.reason or 'no reason was given.'}"
