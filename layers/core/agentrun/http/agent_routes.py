"""The routes of agents."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from agentrun.domain.agents import listed
from agentrun.domain.ports import AgentDirectory
from agentrun.domain.principal import Principal
from agentrun.http.authentication import Authentication
from agentrun.http.bodies import agent_body, buffered_answer
from agentrun.http.queries import IncludeInactive


def agent_routes(authenticate: Authentication, catalog: Callable[[], AgentDirectory]) -> APIRouter:
    """Return the routes below `/api/agents` that are of agents; `catalog` loads them."""
    router = APIRouter(prefix="/api/agents")
    Caller = Annotated[Principal, Depends(authenticate)]  # noqa: N806 - a type

    @router.get("")
    async def get_agents(_caller: Caller, include_inactive: IncludeInactive = False) -> Response:
        """List the agents that can be run."""
        found = listed(catalog().agents(), include_inactive=include_inactive)
        return buffered_answer([agent_body(agent) for agent in found])

    @router.get("/{agent_id}")
    async def get_agent(_caller: Caller, agent_id: str) -> Response:
        """Show one agent, active or not."""
        return buffered_answer(agent_body(catalog().agent(agent_id)))

    return router
