"""The routes that show and cancel runs, and that issue tickets for their streams."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from agentrun.domain.ports import StreamTickets
from agentrun.domain.principal import Principal
from agentrun.http.authentication import Authentication
from agentrun.http.bodies import run_answer, runs_answer, ticket_answer
from agentrun.http.queries import Fields, RunIds
from agentrun.service.ports import RunPorts
from agentrun.service.reading.runs import cancel_run, distinct_run_ids, get_run, get_runs
from agentrun.service.reading.tickets import issue_ticket


def status_routes(
    authenticate: Authentication, ports: RunPorts, tickets: StreamTickets, *, stream_url: str
) -> APIRouter:
    """
    Return the routes below `/api/agents/{agentId}/runs` that stream nothing.

    Args:
        authenticate: Tells who is asking.
        ports: Where runs are.
        tickets: Where tickets are kept.
        stream_url: The base URL at which streams can be opened with them.
    """
    router = APIRouter(prefix="/api/agents/{agent_id}/runs")
    Caller = Annotated[Principal, Depends(authenticate)]  # noqa: N806 - a type

    @router.get("/status")
    async def get_status_of_many(
        caller: Caller, agent_id: str, run_ids: RunIds, fields: Fields = "full"
    ) -> Response:
        """Show up to 100 runs at once."""
        ids, with_text = distinct_run_ids(run_ids), fields == "full"
        return runs_answer(get_runs(caller, agent_id, ids, with_text=with_text, ports=ports))

    @router.get("/{run_id}/status")
    @router.get("/{run_id}")
    async def get_status_of_one(caller: Caller, agent_id: str, run_id: str) -> Response:
        """Show one run, its texts cut only where they exceed one answer."""
        return run_answer(get_run(caller, agent_id, run_id, ports=ports))

    @router.delete("/{run_id}", status_code=204)
    async def delete_run(caller: Caller, agent_id: str, run_id: str) -> Response:
        """Cancel one run; its record stays."""
        cancel_run(caller, agent_id, run_id, ports=ports)
        return Response(status_code=204)

    @router.post("/{run_id}/stream-ticket", status_code=201)
    async def issue_stream_ticket(caller: Caller, agent_id: str, run_id: str) -> Response:
        """Issue a ticket with which a browser's own EventSource can follow one run."""
        issued = issue_ticket(caller, agent_id, run_id, tickets=tickets, ports=ports)
        return ticket_answer(issued, stream_url=stream_url)

    return router
