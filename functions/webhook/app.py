"""The webhook function: tells receivers of runs that have paused or ended."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from agentrun.adapters.dynamo.connection.client import dynamo_client
from agentrun.adapters.dynamo.table import Table
from agentrun.adapters.system_clock import SystemClock
from agentrun.adapters.webhooks.public_hosts import PublicHosts
from agentrun.adapters.webhooks.queue import (
    SqsQueuedDelivery,
    SqsWebhookQueue,
    webhook_sqs_client,
)
from agentrun.adapters.webhooks.run_changes import StreamedChange
from agentrun.adapters.webhooks.secrets import FixedSecrets, SecretsManagerSecrets
from agentrun.adapters.webhooks.sender import HttpWebhookSender
from agentrun.http.bodies import run_body
from agentrun.service.webhooks.announcing import announce
from agentrun.service.webhooks.delivering import Deliverer
from agentrun.settings import Settings, WebhookSettings
from agentrun.telemetry import log_as_json

MOST_AT_ONCE = 10
"""The template's `BatchSize`: a slow receiver holds back nobody."""

log = logging.getLogger("agentrun.webhook")
settings, webhooks = Settings.from_environment(), WebhookSettings.from_environment()
log_as_json(settings.log_causes)
client = dynamo_client(retry_mode="standard")
table = Table(client, settings.table)
sqs = webhook_sqs_client()
queue = SqsWebhookQueue(sqs, webhooks.queue_url, webhooks.dead_letters_url)
deliverer = Deliverer(
    HttpWebhookSender(PublicHosts(allows_loopback=settings.webhook_loopback)),
    FixedSecrets(webhooks.secrets)
    if webhooks.secrets
    else SecretsManagerSecrets(webhooks.secret_arn),
    queue,
    SystemClock(),
)
threads = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="webhook")


def change_of(record: Mapping[str, Any]) -> StreamedChange:
    """Read a record of the table's stream."""
    return StreamedChange(record, table, run_body)


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """
    Queue what the table's stream tells, or deliver what the queue holds.

    Returns:
        What has to come again, as Lambda takes it of both ("ReportBatchItemFailures").
    """
    records: Sequence[Mapping[str, Any]] = event["Records"]
    if records[0]["eventSource"] == "aws:dynamodb":
        first_failed = announce(map(change_of, records), queue)
        failed = [] if first_failed is None else [first_failed]
    else:
        failed = deliver_all([SqsQueuedDelivery(record, change_of) for record in records])
    return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in failed]}


def deliver_all(messages: Sequence[SqsQueuedDelivery]) -> list[str]:
    """Try to deliver messages side by side; return the ids of those that have to come again."""
    tries = [threads.submit(deliverer.deliver, message) for message in messages]
    failed = []
    for message, attempt in zip(messages, tries, strict=True):
        if error := attempt.exception():
            log.error("webhook not tried; it comes again", exc_info=error)
        if error or not attempt.result():
            failed.append(message.message_id)
    return failed
