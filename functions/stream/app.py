"""The stream function: runs, streamed or answered once."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from starlette.applications import Starlette

from agent_catalog import load_catalog, tell_fault
from agent_catalog.media.loader import UrlMediaLoader
from agent_catalog.models.prices import ModelPrices
from agentrun.adapters.dynamo.connection.client import dynamo_client
from agentrun.adapters.dynamo.conversation_store import DynamoConversationStore
from agentrun.adapters.dynamo.event_log import DynamoEventLog
from agentrun.adapters.dynamo.journal import DynamoRunJournal
from agentrun.adapters.dynamo.quotas.reader_quota import DynamoReaderQuota
from agentrun.adapters.dynamo.quotas.run_quota import DynamoRunQuota
from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.stream_tickets import DynamoStreamTickets
from agentrun.adapters.dynamo.table import Table
from agentrun.adapters.s3.objects import S3LargeObjects
from agentrun.adapters.sqs.client import sqs_client
from agentrun.adapters.sqs.run_queue import SqsRunQueue
from agentrun.adapters.system_clock import SystemClock
from agentrun.adapters.tokens.verifier import verifier_from
from agentrun.adapters.webhooks.guard import webhook_guard
from agentrun.http.authentication import by_bearer_token
from agentrun.http.middleware import (
    BasePathMiddleware,
    KeptInvocations,
    SecurityHeadersMiddleware,
    ending_with,
    with_cors,
)
from agentrun.http.problems import HANDLERS
from agentrun.http.run_routes import RunRoutes
from agentrun.service.executing.deferred_engine import DeferredEngine, LoadedEngine
from agentrun.service.launcher import LauncherSettings, RunLauncher
from agentrun.service.ports import RunPorts
from agentrun.service.reading.places import ReaderPlaces
from agentrun.service.starting.slots import RunSlots
from agentrun.service.starting.start_run import LaunchPorts
from agentrun.settings import Settings
from agentrun.snapshots import before_snapshot, is_for_snapshot
from agentrun.telemetry import count_ended_run, log_as_json
from lambda_asgi import StreamingHandler

MAX_THREADS = 64
"""Runs that one process executes at once; each occupies one thread at most."""

settings = Settings.from_environment()
log_as_json(settings.log_causes)
clock = SystemClock()
catalog = load_catalog(settings.model, on_fault=tell_fault)
client = dynamo_client(retry_mode="legacy")
table = Table(client, settings.table)
objects = S3LargeObjects(settings.bucket)


def new_id() -> str:
    """Return a new unique id."""
    return str(uuid4())


def load_engine() -> LoadedEngine:
    """Import the agent framework, which takes longer than everything above."""
    from agent_catalog.running.engine import PydanticAiEngine  # noqa: PLC0415

    loaded = PydanticAiEngine(catalog)
    if is_for_snapshot():
        loaded.build_agents()
    return loaded


runs = RunPorts(
    store=DynamoRunStore(table, objects, longest_pause=settings.approval_expiry),
    log=DynamoEventLog(table, longest_pause=settings.approval_expiry),
    journal=DynamoRunJournal(table, objects, longest_pause=settings.approval_expiry),
    queue=SqsRunQueue(sqs_client, settings.run_queue_url),
    threads=ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="store"),
    clock=clock,
)
engine = DeferredEngine(load_engine)
# A connection that a tool or a model has opened meanwhile would be dead in every copy.
before_snapshot(engine.load, client.close)
readers = DynamoReaderQuota(table, settings.max_readers_per_user)
ports = LaunchPorts(
    agents=catalog,
    conversations=DynamoConversationStore(table),
    media_loader=UrlMediaLoader(),
    runs=runs,
    slots=RunSlots(DynamoRunQuota(table, settings.run_limits), runs),
    readers=ReaderPlaces(readers, runs, new_id),
    objects=objects,
    arguments=engine,
    prices=ModelPrices(),
    webhooks=webhook_guard(settings),
    new_id=new_id,
    approval_expiry=settings.approval_expiry,
)
launcher = RunLauncher(
    engine,
    ports,
    LauncherSettings(on_ended=count_ended_run, prepare=engine.prepare, engine_ready=engine.ready),
)
by_token, tickets = by_bearer_token(verifier_from(settings)), DynamoStreamTickets(table)
routes = RunRoutes(launcher, runs, by_token, tickets, ping_after_s=settings.ping_after_s)

# Starlette, not FastAPI, saves 240 ms of every cold start (docs/adr/0008).
api = Starlette(
    routes=routes.routes(),
    exception_handlers=HANDLERS,
    lifespan=ending_with(launcher.stop),
)
# A path with a trailing slash is another path; do not redirect callers, and their tokens, to it.
api.router.redirect_slashes = False
open_to_browsers = with_cors(
    KeptInvocations(api), settings.cors_origins, settings.cors_allow_headers
)
app = BasePathMiddleware(SecurityHeadersMiddleware(open_to_browsers), settings.base_path)
handler = StreamingHandler(app)
