"""What the functions that execute runs are made of: the services' ports on the real adapters."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from agentrun.adapters.dynamo.conversation_store import DynamoConversationStore
from agentrun.adapters.dynamo.event_log import DynamoEventLog
from agentrun.adapters.dynamo.journal import DynamoRunJournal
from agentrun.adapters.dynamo.reader_quota import DynamoReaderQuota
from agentrun.adapters.dynamo.run_quota import DynamoRunQuota
from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.table import Table
from agentrun.adapters.s3.objects import S3Objects, s3_client
from agentrun.adapters.sqs.client import sqs_client
from agentrun.adapters.sqs.run_queue import SqsRunQueue
from agentrun.adapters.system_clock import SystemClock
from agentrun.domain.media import MediaLoader
from agentrun.domain.ports import AgentDirectory, PriceList
from agentrun.service.executing.deferred_engine import DeferredEngine
from agentrun.service.launcher import LauncherSettings, RunLauncher
from agentrun.service.ports import RunPorts
from agentrun.service.reading.places import ReaderPlaces
from agentrun.service.starting.admission import RunSlots
from agentrun.service.starting.start_run import LaunchPorts
from agentrun.settings import Settings
from agentrun.telemetry import count_ended_run

MAX_THREADS = 64
"""Runs that one process executes at once; each occupies one thread at most."""


def new_id() -> str:
    """Return a new unique id."""
    return str(uuid4())
