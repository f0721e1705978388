"""The stream function: runs, streamed or answered once."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from starlette.applications import Starlette

from agent_catalog import load_catalog, tell_fault
from agent_catalog.media.loader import UrlMediaLoader
from agentrun.adapters.dynamo.client import dynamo_client
from agentrun.adapters.dynamo.conversation_store import DynamoConversationStore
from agentrun.adapters.dynamo.event_log import DynamoEventLog
from agentrun.adapters.dynamo.reader_quota import DynamoReaderQuota
from agentrun.adapters.dynamo.run_quota import DynamoRunQuota
from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.system_clock import SystemClock
from agentrun.adapters.tokens.verifier import verifier_from
from agentrun.http.authentication import by_bearer_token
from agentrun.http.base_path import BasePathMiddleware
from agentrun.http.browsers import SecurityHeadersMiddleware, with_cors
from agentrun.http.invocations import KeptInvocations, ending_with
from agentrun.http.problems import HANDLERS
from agentrun.http.run_routes import RunRoutes
from agentrun.service.executing.deferred_engine import DeferredEngine, LoadedEngine
from agentrun.service.launcher import LauncherSettings, RunLauncher
from agentrun.service.ports import RunPorts
from agentrun.service.reading.places import ReaderPlaces
from agentrun.service.starting.launch_ports import LaunchPorts
from agentrun.service.starting.slots import RunSlots
from agentrun.settings import Settings
from agentrun.snapshots import before_snapshot, is_for_snapshot
from agentrun.telemetry import count_ended_run, log_as_json
from lambda_asgi import StreamingHandler

MAX_THREADS = 64
"""Runs that one process executes at once; each blocks at most one thread."""

settings = Settings.from_environment()
log_as_json(settings.log_causes)
clock = SystemClock()
catalog = load_catalog(settings.model, on_fault=tell_fault)
client = dynamo_client(retry_mode="legacy")


def new_id() -> str:
    """Return an id that nothing else has."""
    return str(uuid4())


def load_engine() -> LoadedEngine:
    """Import the agent framework, which takes longer than all of the above."""
    from agent_catalog.running.engine import PydanticAiEngine  # noqa: PLC0415

    loaded = PydanticAiEngine(catalog)
    if is_for_snapshot():
        loaded.build_agents()
    return loaded


runs = RunPorts(
    store=DynamoRunStore(client, settings.table),
    log=DynamoEventLog(client, settings.table, longest_pause=settings.approval_expiry),
    threads=ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="store"),
    clock=clock,
)
engine = DeferredEngine(load_engine)
# A connection that a tool or a model has opened meanwhile would be dead in every copy.
before_snapshot(engine.load, client.close)
readers = DynamoReaderQuota(client, settings.table, settings.max_readers_per_user)
ports = LaunchPorts(
    agents=catalog,
    conversations=DynamoConversationStore(client, settings.table),
    media_loader=UrlMediaLoader(),
    runs=runs,
    slots=RunSlots(DynamoRunQuota(client, settings.table, settings.run_limits), runs),
    readers=ReaderPlaces(readers, runs, new_id),
    arguments=engine,
    new_id=new_id,
    approval_expiry=settings.approval_expiry,
)
launcher = RunLauncher(
    engine,
    ports,
    LauncherSettings(on_ended=count_ended_run, prepare=engine.prepare, engine_ready=engine.ready),
)
routes = RunRoutes(
    launcher, runs, by_bearer_token(verifier_from(settings)), ping_after_s=settings.ping_after_s
)

# Starlette, not FastAPI: 240 ms less of each cold start (docs/adr/0008).
api = Starlette(
    routes=routes.routes(),
    exception_handlers=HANDLERS,
    lifespan=ending_with(launcher.stop),
)
# The path with one slash more is another path, and nowhere to send a caller and their token to.
api.router.redirect_slashes = False
open_to_browsers = with_cors(
    KeptInvocations(api), settings.cors_origins, settings.cors_allow_headers
)
app = BasePathMiddleware(SecurityHeadersMiddleware(open_to_browsers), settings.base_path)
handler = StreamingHandler(app)
