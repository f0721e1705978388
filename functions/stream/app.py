"""The stream function: runs, streamed or answered once."""

from concurrent.futures import ThreadPoolExecutor
from typing import Annotated
from uuid import uuid4

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from agent_catalog import load_catalog
from agentrun.adapters.dynamo_client import dynamo_client
from agentrun.adapters.dynamo_event_log import DynamoEventLog
from agentrun.adapters.dynamo_run_store import DynamoRunStore
from agentrun.adapters.jwt_verifier import verifier_from
from agentrun.adapters.system_clock import SystemClock
from agentrun.domain.ports import AgentEngine
from agentrun.domain.principal import Principal
from agentrun.domain.requests import RunRequest
from agentrun.http.authentication import by_bearer_token
from agentrun.http.bodies import json_answer, result_body
from agentrun.http.cors import with_cors
from agentrun.http.lambda_context import deadline_of
from agentrun.http.problems import install_problem_handlers
from agentrun.http.request_body import read_body
from agentrun.http.request_headers import cursor_of, idempotency_of
from agentrun.http.run_headers import replayed_header, stream_headers
from agentrun.http.sse import MEDIA_TYPE, PING_AFTER_S, encode_stream
from agentrun.service.attach import attach
from agentrun.service.deferred_engine import DeferredEngine
from agentrun.service.run_launcher import RunLauncher, RunStream
from agentrun.service.run_ports import RunPorts
from agentrun.service.run_result import collect_result
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
launcher = RunLauncher(
    catalog,
    DeferredEngine(load_engine),
    ports,
    new_id=lambda: str(uuid4()),
    on_ended=count_ended_run,
)

api = FastAPI(title="Agentrun: runs", openapi_url=None)
install_problem_handlers(api)
Caller = Annotated[Principal, Depends(by_bearer_token(verifier_from(settings)))]


async def begin_run(request: Request, caller: Caller, agent_id: str) -> RunStream:
    """Refuse or begin a run: all that can refuse it happens before the first byte."""
    body = await read_body(request, RunRequest)
    return await launcher.begin(
        caller,
        agent_id,
        body,
        idempotency=await idempotency_of(request),
        deadline=deadline_of(request, clock),
    )


Begun = Annotated[RunStream, Depends(begin_run)]


def answer_stream(stream: RunStream) -> Response:
    """Stream a run's events, live or from its log."""
    return StreamingResponse(
        encode_stream(stream.batches(idle_s=PING_AFTER_S)),
        headers=stream_headers(stream),
        media_type=MEDIA_TYPE,
    )


@api.post("/api/agents/{agent_id}/runs/stream")
async def stream_run(begun: Begun) -> Response:
    """Run an agent and stream what happens."""
    return answer_stream(begun)


@api.post("/api/agents/{agent_id}/runs")
async def run_once(begun: Begun) -> Response:
    """Run an agent and answer with its result."""
    body = result_body(await collect_result(begun))
    return json_answer(body, headers=replayed_header(begun))


@api.get("/api/agents/{agent_id}/runs/{run_id}/stream")
async def attach_to_run(
    caller: Caller, agent_id: str, run_id: str, cursor: Annotated[int, Depends(cursor_of)]
) -> Response:
    """Replay a run's events after a cursor, then follow it to its end."""
    follower = await attach(caller, agent_id, run_id, cursor=cursor, ports=ports)
    return answer_stream(follower) if follower else Response(status_code=204)


app = with_cors(api, settings.cors_origins)
handler = StreamingHandler(app)
