"""The worker function: runs that nobody streams, and runs whose executor was lost."""

from datetime import datetime

from agentrun.adapters.sqs.batch_handler import BatchHandler, Record
from agentrun.adapters.sqs.client import sqs_client
from agentrun.adapters.sqs.run_message import SqsRunMessage
from agentrun.adapters.system_clock import SystemClock
from agentrun.settings import Settings
from agentrun.telemetry import log_as_json

settings = Settings.from_environment()
log_as_json(settings.log_causes)
clock = SystemClock()


async def work(record: Record, deadline: datetime) -> bool:
    """Execute the run that a message names."""
    message = SqsRunMessage(sqs_client, settings.run_queue_url, record)
    raise NotImplementedError(message.key, deadline)


handler = BatchHandler(work, clock)
