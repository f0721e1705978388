"""The stream function: runs, streamed or answered once."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent_catalog import load_catalog
from agentrun.adapters.dynamo_client import dynamo_client
from agentrun.adapters.dynamo_event_log import DynamoEventLog
from agentrun.adapters.dynamo_run_store import DynamoRunStore
from agentrun.adapters.jwt_verifier import verifier_from
from agentrun.adapters.system_clock import SystemClock
from agentrun.domain.ports import AgentEngine
from agentrun.domain.requests import RunRequest
from agentrun.http.authentication import by_bearer_token
from agentrun.http.cors import with_cors
from agentrun.http.lambda_context import deadline_of
from agentrun.http.lifespan import ending_with
from agentrun.http.problems import HANDLERS
from agentrun.http.request_body import read_body
from agentrun.http.request_headers import cursor_of, idempotency_of
from agentrun.http.run_answers import result_answer, stream_answer
from agentrun.service.attach import attach
from agentrun.service.deferred_engine import DeferredEngine
from agentrun.service.run_launcher import RunLauncher, RunStream
from agentrun.service.run_ports import RunPorts
from agentrun.settings import Settings
from agentrun.telemetry import count_ended_run, log_as_json
from lambda_asgi import StreamingHandler

MAX_THREADS = 64
"""Runs that one process executes at once; each blocks at most one thread."""

settings = Settings.from_environment()
log_as_json()
clock = SystemClock()
catalog = load_catalog(settings.model)
client = dynamo_client(retry_mode="legacy")


def load_engine() -> AgentEngine:
    """Import the agent framework, which takes longer than all of the above."""
    from agent_catalog.engine import PydanticAiEngine  # noqa: PLC0415

    return PydanticAiEngine(catalog)


ports = RunPorts(
    store=DynamoRunStore(client, settings.table),
    log=DynamoEventLog(client, settings.table),
    threads=ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="store"),
    clock=clock,
)
engine = DeferredEngine(load_engine)
launcher = RunLauncher(
    catalog,
    engine,
    ports,
    prepare=engine.prepare,
    new_id=lambda: str(uuid4()),
    on_ended=count_ended_run,
)

caller_of = by_bearer_token(verifier_from(settings))


async def begin_run(request: Request) -> RunStream:
    """Refuse or begin a run: all that can refuse it happens before the first byte."""
    caller = await caller_of(request)
    body = await read_body(request, RunRequest)
    return await launcher.begin(
        caller,
        request.path_params["agent_id"],
        body,
        idempotency=await idempotency_of(request),
        deadline=deadline_of(request, clock),
    )


async def stream_run(request: Request) -> Response:
    """Run an agent and stream what happens."""
    return stream_answer(await begin_run(request))


async def run_once(request: Request) -> Response:
    """Run an agent and answer with its result."""
    return await result_answer(await begin_run(request))


async def attach_to_run(request: Request) -> Response:
    """Replay a run's events after a cursor, then follow it to its end."""
    caller = await caller_of(request)
    run = request.path_params
    cursor = cursor_of(request)
    follower = await attach(caller, run["agent_id"], run["run_id"], cursor=cursor, ports=ports)
    return stream_answer(follower) if follower else Response(status_code=204)


RUNS = "/api/agents/{agent_id}/runs"
# Starlette, not FastAPI: 240 ms less of each cold start (docs/adr/0008).
api = Starlette(
    routes=[
        Route(f"{RUNS}/stream", stream_run, methods=["POST"]),
        Route(RUNS, run_once, methods=["POST"]),
        Route(f"{RUNS}/{{run_id}}/stream", attach_to_run, methods=["GET"]),
    ],
    exception_handlers=HANDLERS,
    lifespan=ending_with(launcher.stop),
)
app = with_cors(api, settings.cors_origins)
handler = StreamingHandler(app)
