"""
The status function: agents, runs as they are, and conversations.

A process answers one request at a time, so its routes may block the event loop; a thread would cost
as much as the rest of a poll.
"""

import gc

# What imports make stays; looking for garbage in it takes a twelfth of a cold start.
gc.disable()

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Annotated

from fastapi import Depends, FastAPI, Response
from mangum import Mangum

from agentrun.adapters.dynamo.connection.client import dynamo_client
from agentrun.adapters.dynamo.conversation_store import DynamoConversationStore
from agentrun.adapters.dynamo.event_log import DynamoEventLog
from agentrun.adapters.dynamo.journal import DynamoRunJournal
from agentrun.adapters.dynamo.run_list import DynamoRunList
from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.stream_tickets import DynamoStreamTickets
from agentrun.adapters.dynamo.table import Table
from agentrun.adapters.s3.objects import S3LargeObjects
from agentrun.adapters.sqs.client import sqs_client
from agentrun.adapters.sqs.run_queue import SqsRunQueue
from agentrun.adapters.system_clock import SystemClock
from agentrun.domain.conversations import Message, PastTurn
from agentrun.domain.ports import AgentDirectory
from agentrun.domain.principal import Principal
from agentrun.http.agent_routes import agent_routes
from agentrun.http.answer_size import MAX_ANSWER_BYTES
from agentrun.http.authentication import by_gateway
from agentrun.http.bodies import HealthBody, buffered_answer
from agentrun.http.middleware import BasePathMiddleware, SecurityHeadersMiddleware, with_cors
from agentrun.http.queries import install_problem_handlers
from agentrun.http.run_list_routes import run_list_routes
from agentrun.http.session_routes import session_routes
from agentrun.http.status_routes import status_routes
from agentrun.service.ports import RunPorts
from agentrun.settings import Settings
from agentrun.telemetry import log_as_json

# Mangum sends any other type as base64, which API Gateway would pass on undecoded.
TEXT_TYPES = ["application/json", "application/problem+json", "text/"]

settings = Settings.from_environment()
log_as_json(settings.log_causes)
clock = SystemClock()
client = dynamo_client(retry_mode="standard")
table = Table(client, settings.table)
ports = RunPorts(
    store=DynamoRunStore(table),
    log=DynamoEventLog(table),
    journal=DynamoRunJournal(table),
    queue=SqsRunQueue(sqs_client, settings.run_queue_url),
    threads=ThreadPoolExecutor(8, thread_name_prefix="repair"),
    clock=clock,
)
conversations = DynamoConversationStore(
    table,
    S3LargeObjects(settings.bucket) if settings.bucket else None,
    turns_limit_bytes=MAX_ANSWER_BYTES,
)


@cache
def catalog() -> AgentDirectory:
    """Load the agents, at the first request for them; no poll waits for it."""
    from agent_catalog import load_catalog  # noqa: PLC0415

    # The stream function logs what is wrong with agents' files; once is enough.
    return load_catalog(settings.model, on_fault=lambda _: None)


def transcript(turn: PastTurn) -> Sequence[Message]:
    """Return what was said in a turn; imported here for the same reason."""
    from agent_catalog.transcript import transcript as read  # noqa: PLC0415

    return read(turn)


api = FastAPI(openapi_url=None, redirect_slashes=False)
install_problem_handlers(api)
authenticate = by_gateway(clock)
Caller = Annotated[Principal, Depends(authenticate)]


@api.get("/api/v1/health")
async def health() -> Response:
    """Answer that the function is up."""
    return buffered_answer(HealthBody(status="UP"))


@api.get("/api/v1/openapi.json")
async def get_openapi(_caller: Caller) -> Response:
    """Describe the API of both functions; imported here, so that no cold start pays for it."""
    from agentrun.http.openapi.document import openapi_json  # noqa: PLC0415

    return Response(openapi_json(), media_type="application/json")


api.include_router(agent_routes(authenticate, catalog))
tickets = DynamoStreamTickets(table)
api.include_router(status_routes(authenticate, ports, tickets, stream_url=settings.stream_url))
api.include_router(run_list_routes(authenticate, runs=DynamoRunList(table), ports=ports))
api.include_router(
    session_routes(authenticate, conversations=conversations, transcript=transcript, ports=ports)
)
open_to_browsers = with_cors(api, settings.cors_origins, settings.cors_allow_headers)
app = BasePathMiddleware(SecurityHeadersMiddleware(open_to_browsers), settings.base_path)
handler = Mangum(app, lifespan="off", text_mime_types=TEXT_TYPES)

gc.freeze()
gc.enable()
