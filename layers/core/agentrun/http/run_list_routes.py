"""The routes that find runs and approvals, and show runs without naming their agent."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from agentrun.domain.lists.run_lists import RunFilter
from agentrun.domain.ports import RunList
from agentrun.domain.principal import Principal
from agentrun.domain.runs import RunStatus
from agentrun.http.authentication import Authentication
from agentrun.http.bodies import approval_body, approvals_answer, buffered_answer, run_answer
from agentrun.http.bodies import run_page_answer as page_answer
from agentrun.http.queries import (
    DEFAULT_SIZE,
    Cursor,
    RunsOfAgent,
    RunsOfSession,
    RunsOfStatus,
    RunsOfUser,
    Size,
)
from agentrun.service.ports import RunPorts
from agentrun.service.reading import approvals
from agentrun.service.reading.run_list import list_runs
from agentrun.service.reading.runs import cancel_run, get_run


def run_list_routes(authenticate: Authentication, *, runs: RunList, ports: RunPorts) -> APIRouter:
    """Return the routes below `/api/v1` that read runs, and the one that cancels one."""
    router = APIRouter(prefix="/api/v1")
    _add_runs(router, authenticate, runs, ports)
    _add_approvals(router, authenticate, runs, ports)
    return router


def _add_runs(
    router: APIRouter, authenticate: Authentication, runs: RunList, ports: RunPorts
) -> None:
    Caller = Annotated[Principal, Depends(authenticate)]  # noqa: N806 - a type

    @router.get("/runs")
    async def get_page_of_runs(
        caller: Caller,
        status: RunsOfStatus = None,
        agent_id: RunsOfAgent = None,
        session_id: RunsOfSession = None,
        user_id: RunsOfUser = None,
        size: Size = DEFAULT_SIZE,
        cursor: Cursor = None,
    ) -> Response:
        """List runs, the newest first; an empty parameter counts as none."""
        page = list_runs(
            caller,
            user_id=user_id or None,
            wanted=RunFilter(
                RunStatus(status) if status else None, agent_id or None, session_id or None
            ),
            size=size,
            cursor=cursor or None,
            runs=runs,
            ports=ports,
        )
        return page_answer(page, size=size)

    @router.get("/runs/{run_id}")
    async def get_one_run(caller: Caller, run_id: str) -> Response:
        """Show one run of any agent."""
        return run_answer(get_run(caller, None, run_id, ports=ports))

    @router.post("/runs/{run_id}/cancel", status_code=204)
    async def cancel_one_run(caller: Caller, run_id: str) -> Response:
        """Cancel one run of any agent; its record stays."""
        cancel_run(caller, None, run_id, ports=ports)
        return Response(status_code=204)


def _add_approvals(
    router: APIRouter, authenticate: Authentication, runs: RunList, ports: RunPorts
) -> None:
    Caller = Annotated[Principal, Depends(authenticate)]  # noqa: N806 - a type

    @router.get("/approvals/pending")
    async def get_pending_approvals(
        caller: Caller, size: Size = DEFAULT_SIZE, cursor: Cursor = None
    ) -> Response:
        """List what waits for a decision, the oldest first."""
        page = approvals.pending_approvals(
            caller, size=size, cursor=cursor or None, runs=runs, ports=ports
        )
        return approvals_answer(page, size=size)

    @router.get("/approvals/{approval_id}")
    async def get_one_approval(caller: Caller, approval_id: str) -> Response:
        """Show one approval, decided or not."""
        return buffered_answer(
            approval_body(approvals.get_approval(caller, approval_id, ports=ports))
        )
