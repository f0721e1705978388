"""The JSON bodies of answers."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response

from agentrun.domain.agents import Agent
from agentrun.domain.runs import AgentRun
from agentrun.http.sse import paused_object
from agentrun.service.run_result import RunResult


def json_answer(
    body: Mapping[str, Any] | Sequence[Any], *, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer 200 with a JSON body."""
    return Response(to_json(body), headers=headers, media_type="application/json")


def agent_body(agent: Agent) -> dict[str, Any]:
    """Give an agent as its callers see it, under the names that clients have long known."""
    return {
        "id": agent.id,
        "agentId": agent.id,
        "name": agent.name,
        "description": agent.description,
        "model": agent.model,
        "models": agent.models,
        "active": agent.active,
        "isTeam": False,
        "is_team": False,
        "tools": [tool.model_dump() for tool in agent.tools],
        "media": agent.media,
    }


def run_body(run: AgentRun) -> dict[str, Any]:
    """Give a run; what is not known is absent."""
    body = run.model_dump(mode="json", exclude_none=True, exclude={"required_action"})
    if run.required_action is not None:
        body["requiredAction"] = paused_object(run.required_action)
    return body


def result_body(result: RunResult) -> dict[str, Any]:
    """Give a finished run's result as one answer."""
    body = result.model_dump(mode="json", exclude={"required_action", "metrics", "followups"})
    if result.followups is not None:
        body["followups"] = result.followups
    if result.metrics is not None:
        body["metrics"] = result.metrics.model_dump(exclude={"event"}, exclude_none=True)
    if result.required_action is not None:
        body["requiredAction"] = paused_object(result.required_action)
    return body
