"""The routes that execute and follow runs, and what they answer."""

import asyncio
import logging
from datetime import timedelta

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from agentrun.domain.approvals import ContinueRequest, ResolveRequest
from agentrun.domain.errors import AgentrunError, RunGoesOnError, UnauthenticatedError
from agentrun.domain.ports import StreamTickets
from agentrun.domain.requests import RunRequest
from agentrun.domain.runs import AgentRun
from agentrun.http.authentication import Authentication
from agentrun.http.bodies import QueuedBody, json_answer, result_body, run_body
from agentrun.http.requests import (
    came_by_function_url,
    comes_again,
    cursor_of,
    deadline_of,
    idempotency_of,
    read_body,
    read_json,
    reader_of,
    session_policy_of,
    ticket_of,
    validated,
    wants_stream,
)
from agentrun.http.sse import MEDIA_TYPE, encode_stream
from agentrun.service.executing.execution import RunExecution
from agentrun.service.launcher import RunLauncher
from agentrun.service.ports import RunPorts, in_thread
from agentrun.service.reading.follow import RunFollower, attach, whole_run
from agentrun.service.reading.result import RunStream, collect_result
from agentrun.service.reading.tickets import TicketInUse, redeem_ticket
from agentrun.service.starting.continue_run import paused_run, run_to_approve
from agentrun.service.starting.start_run import StartedRun

RUNS = "/api/agents/{agent_id}/runs"
TO_ANSWER = timedelta(seconds=2)
"""How long before its process ends a request that waits for a run is answered."""

log = logging.getLogger(__name__)


class RunRoutes:
    """
    Routes that begin, continue and follow runs.

    A refusal comes before the first byte of an answer. Wrap the app that has these routes in
    `KeptInvocations`: a run goes on after its request.
    """

    def __init__(
        self,
        launcher: RunLauncher,
        ports: RunPorts,
        caller_of: Authentication,
        tickets: StreamTickets,
        *,
        ping_after_s: float,
    ) -> None:
        self.launcher = launcher
        self.ports = ports
        self._caller_of = caller_of
        self._tickets = tickets
        self.ping_after_s = ping_after_s

    def routes(self) -> list[Route]:
        """Return all routes."""
        routes = [
            Route(f"{RUNS}/stream", self._stream, methods=["POST"]),
            Route(RUNS, self._run_once, methods=["POST"]),
            Route(f"{RUNS}/background", self._enqueue, methods=["POST"]),
            Route(f"{RUNS}/{{run_id}}/stream", self._attach, methods=["GET"]),
            Route(f"{RUNS}/{{run_id}}/continue", self._continue, methods=["POST"]),
            Route("/api/v1/approvals/{approval_id}/resolve", self._resolve, methods=["POST"]),
        ]
        for route in routes:
            # Starlette adds HEAD to GET; it would follow a run to its end and send nothing.
            (route.methods or set()).discard("HEAD")
        return routes

    def _streamed(self, stream: RunStream) -> Response:
        return stream_answer(stream, ping_after_s=self.ping_after_s)

    async def _begin(self, request: Request, *, is_streamed: bool) -> RunStream:
        caller = await self._caller_of(request)
        body = await read_json(request)
        return await self.launcher.begin(
            caller,
            request.path_params["agent_id"],
            validated(body, RunRequest),
            idempotency=idempotency_of(request, body),
            policy=session_policy_of(request),
            reader=reader_of(request, body) if is_streamed else None,
            deadline=deadline_of(request, self.ports.clock),
        )

    async def _stream(self, request: Request) -> Response:
        """Run an agent and stream what happens, or what a returning reader has missed."""
        return self._streamed(await self._begin(request, is_streamed=True))

    async def _run_once(self, request: Request) -> Response:
        """Run an agent and answer with its result."""
        return await self._result_of(await self._begin(request, is_streamed=False), request)

    async def _result_of(self, stream: RunStream, request: Request) -> Response:
        """Answer with a run's result, also if other executors bring it to its end in time."""
        run_id, deadline = stream.run.id, deadline_of(request, self.ports.clock)
        left = None if deadline is None else deadline - self.ports.clock.now() - TO_ANSWER
        try:
            async with asyncio.timeout(None if left is None else left.total_seconds()):
                try:
                    return await result_answer(stream)
                except RunGoesOnError:
                    key, again = stream.run.key, _is_replay(stream)
                    return await result_answer(await whole_run(key, self.ports, is_replay=again))
        except TimeoutError:
            raise RunGoesOnError(run_id) from None

    async def _enqueue(self, request: Request) -> Response:
        """Have an agent run in the background; answer with where to ask for it."""
        if came_by_function_url(request):
            raise HTTPException(404)
        caller = await self._caller_of(request)
        body = await read_json(request)
        agent_id = request.path_params["agent_id"]
        started = await self.launcher.enqueue(
            caller,
            agent_id,
            validated(body, RunRequest),
            idempotency=idempotency_of(request, body),
            policy=session_policy_of(request),
        )
        return queued_answer(
            await self._as_stored(started),
            base_path=request.scope.get("root_path", ""),
            is_replay=started.pending is None,
        )

    async def _as_stored(self, started: StartedRun) -> AgentRun:
        if started.pending is not None:
            return started.pending.run
        return await in_thread(self.ports.threads, self.ports.store.get_state, started.key)

    async def _attach(self, request: Request) -> Response:
        """Replay a run's events after a cursor, then follow it to its end."""
        ticket = await self._redeemed(request)
        caller = ticket.caller if ticket else await self._caller_of(request)
        run, cursor = request.path_params, cursor_of(request)
        follower = await attach(
            caller, run["agent_id"], run["run_id"], cursor=cursor, ports=self.ports
        )
        if follower is None:
            return Response(status_code=204)
        if ticket:
            follower.read_within(ticket)
        deadline = deadline_of(request, self.ports.clock)
        return self._streamed(await self.launcher.admit(follower, deadline=deadline))

    async def _redeemed(self, request: Request) -> TicketInUse | None:
        """Redeem the ticket with which a request comes instead of a token, if it does."""
        run = request.path_params
        try:
            secret = ticket_of(request)
            if secret is None:
                return None
            return await redeem_ticket(
                secret,
                run["agent_id"],
                run["run_id"],
                comes_again=comes_again(request),
                tickets=self._tickets,
                ports=self.ports,
            )
        except UnauthenticatedError as error:
            log.info("ticket refused", extra={"reason": error.reason})
            raise

    async def _continue(self, request: Request) -> Response:
        """Decide a paused run's approvals, go on, and answer or stream what happens."""
        caller = await self._caller_of(request)
        body = await read_body(request, ContinueRequest)
        names = request.path_params
        paused = await paused_run(caller, names["agent_id"], names["run_id"], self.ports)
        deadline = deadline_of(request, self.ports.clock)
        execution = await self.launcher.resume(caller, paused, body, deadline=deadline)
        if wants_stream(request):
            return self._streamed(execution)
        # The result of the whole run, with what came before the pause: the log has both.
        execution.detach()
        await self.launcher.ended(execution)
        whole = await whole_run(paused.key, self.ports, is_replay=False)
        return await self._result_of(whole, request)

    async def _resolve(self, request: Request) -> Response:
        """Decide a paused run's approvals, answer at once, and go on afterwards."""
        if came_by_function_url(request):
            raise HTTPException(404)
        caller = await self._caller_of(request)
        body = await read_body(request, ResolveRequest)
        paused = await run_to_approve(caller, request.path_params["approval_id"], self.ports)
        execution = await self.launcher.resume(
            caller, paused, body.as_continue(), deadline=deadline_of(request, self.ports.clock)
        )
        execution.detach()
        return json_answer(run_body(await self._continued(execution)))

    async def _continued(self, execution: RunExecution) -> AgentRun:
        """Read a run that goes on; if that fails, return it as it was begun."""
        begun = execution.as_begun
        try:
            return await in_thread(self.ports.threads, self.ports.store.get, begun.key)
        except AgentrunError:
            return begun


def queued_answer(run: AgentRun, *, base_path: str, is_replay: bool) -> Response:
    """Answer that a run is accepted, and where its status is; `is_replay` if it was before."""
    body = QueuedBody(runId=run.id, sessionId=run.session_id, status=run.status)
    location = f"{base_path}/api/agents/{run.agent_id}/runs/{run.id}/status"
    headers = {"Location": location, **_replayed(is_replay=is_replay)}
    return json_answer(body, status_code=202, headers=headers)


_AGAINST_BUFFERING = {
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}


def stream_answer(stream: RunStream, *, ping_after_s: float) -> Response:
    """
    Stream a run's events, live or from its log; answer 204 if none are left.

    Args:
        stream: The run.
        ping_after_s: Seconds of silence before a ping.
    """
    # A run that is only replayed does not fail with its reader.
    on_failure = stream.fail if isinstance(stream, RunExecution) else lambda: None
    names = {"X-Run-Id": stream.run.id, "X-Session-Id": stream.run.session_id}
    names |= _replayed_header(stream)
    if isinstance(stream, RunFollower) and stream.has_nothing_left:
        return Response(status_code=204, headers=names)
    return StreamingResponse(
        encode_stream(stream.batches(idle_s=ping_after_s), on_failure=on_failure),
        headers=_AGAINST_BUFFERING | names,
        media_type=MEDIA_TYPE,
    )


async def result_answer(stream: RunStream) -> Response:
    """
    Answer with a run's result once it has ended.

    Raises:
        RunFailedError: The run has failed.
        RunGoesOnError: Its events broke off before its end.
    """
    body = result_body(await collect_result(stream))
    return json_answer(body, headers=_replayed_header(stream))


def _replayed_header(stream: RunStream) -> dict[str, str]:
    """Tell the client that its request has led to a run that it had started before."""
    return _replayed(is_replay=_is_replay(stream))


def _is_replay(stream: RunStream) -> bool:
    return isinstance(stream, RunFollower) and stream.is_replay


def _replayed(*, is_replay: bool) -> dict[str, str]:
    return {"Idempotent-Replayed": "true"} if is_replay else {}
