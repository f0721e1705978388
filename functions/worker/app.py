"""The worker function: runs that nobody streams, and runs whose executor was lost."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from uuid import uuid4

from agent_catalog import load_catalog
from agent_catalog.media.loader import UrlMediaLoader
from agent_catalog.models.prices import ModelPrices
from agent_catalog.running.engine import PydanticAiEngine
from agentrun.adapters.dynamo.connection.client import dynamo_client
from agentrun.adapters.dynamo.conversation_store import DynamoConversationStore
from agentrun.adapters.dynamo.event_log import DynamoEventLog
from agentrun.adapters.dynamo.journal import DynamoRunJournal
from agentrun.adapters.dynamo.quotas.reader_quota import DynamoReaderQuota
from agentrun.adapters.dynamo.quotas.run_quota import DynamoRunQuota
from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.table import Table
from agentrun.adapters.s3.objects import S3LargeObjects
from agentrun.adapters.sqs.batch_handler import BatchHandler, Record
from agentrun.adapters.sqs.client import sqs_client
from agentrun.adapters.sqs.run_message import SqsRunMessage
from agentrun.adapters.sqs.run_queue import SqsRunQueue
from agentrun.adapters.system_clock import SystemClock
from agentrun.adapters.webhooks.guard import webhook_guard
from agentrun.service.launcher import LauncherSettings, RunLauncher
from agentrun.service.ports import RunPorts, invocation_kept
from agentrun.service.reading.places import ReaderPlaces
from agentrun.service.starting.slots import RunSlots
from agentrun.service.starting.start_run import LaunchPorts
from agentrun.service.worker import RunWorker
from agentrun.settings import Settings
from agentrun.telemetry import count_ended_run, log_as_json

MAX_THREADS = 8
"""A process executes one run at once, which writes, reads and holds its message side by side."""

settings = Settings.from_environment()
log_as_json(settings.log_causes)
clock = SystemClock()
# The stream function logs what is wrong with agents' files; once is enough.
catalog = load_catalog(settings.model, on_fault=lambda _: None)
client = dynamo_client(retry_mode="legacy")
# Each run begins with a call of the queue, so its client is built with the process.
sqs_client()
table = Table(client, settings.table)
objects = S3LargeObjects(settings.bucket)


def new_id() -> str:
    """Return a new unique id."""
    return str(uuid4())


runs = RunPorts(
    store=DynamoRunStore(table, objects, longest_pause=settings.approval_expiry),
    log=DynamoEventLog(table, longest_pause=settings.approval_expiry),
    journal=DynamoRunJournal(table, objects, longest_pause=settings.approval_expiry),
    queue=SqsRunQueue(sqs_client, settings.run_queue_url),
    threads=ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="store"),
    clock=clock,
)
# Nobody waits for the first event, so the framework is loaded while Lambda starts the process.
engine = PydanticAiEngine(catalog)
ports = LaunchPorts(
    agents=catalog,
    conversations=DynamoConversationStore(table),
    media_loader=UrlMediaLoader(),
    runs=runs,
    slots=RunSlots(DynamoRunQuota(table, settings.run_limits), runs),
    readers=ReaderPlaces(DynamoReaderQuota(table, settings.max_readers_per_user), runs, new_id),
    objects=objects,
    arguments=engine,
    prices=ModelPrices(),
    webhooks=webhook_guard(settings),
    new_id=new_id,
    approval_expiry=settings.approval_expiry,
)
launcher = RunLauncher(engine, ports, LauncherSettings(on_ended=count_ended_run))
worker = RunWorker(launcher, ports)


async def work(record: Record, deadline: datetime) -> bool:
    """See to the run that a message names."""
    message = SqsRunMessage(sqs_client, settings.run_queue_url, record)
    async with invocation_kept():
        return await worker.work(message, deadline=deadline)


handler = BatchHandler(work, clock)
