"""`agentrun redrive`: finds the queue, moves its dead letters and prints them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from agentrun_local.errors import LocalStackError
from agentrun_local.machine.queues_and_buckets import local_client
from agentrun_local.machine.webhook_secret import WEBHOOK_SECRET_ARN
from agentrun_local.redrive.dead_letters import DeadLetters, NoDeadLettersError
from agentrun_local.template.cloudformation import REGION, declared_parameters, load_resources

QUEUES = {"runs": "RunQueue", "webhooks": "WebhookQueue"}
"""The queues' names in the template."""


@dataclass(frozen=True)
class RedriveOptions:
    """Which letters, and where the queue is: in a `stack`, or at the `queues_url`."""

    queue: str
    dry_run: bool
    at_most: int | None
    stack: str | None
    queues_url: str | None
    region: str | None
    profile: str | None
    template: Path


class RedriveError(LocalStackError):
    """The command cannot find the queue, or may not use it."""


def run_redrive(options: RedriveOptions) -> int:
    """
    Move the dead letters of a queue back, and print each.

    Raises:
        RedriveError: There is no such stack or queue, or SQS does not answer.
    """
    try:
        client, url = _deployed(options) if options.stack else _local(options)
        letters = DeadLetters(client, url)
        at_most = letters.count() if options.at_most is None else options.at_most
        moved = _move(letters, at_most, dry_run=options.dry_run)
    except NoDeadLettersError as error:
        raise RedriveError(f"the queue of {options.queue} has no redrive policy") from error
    except (BotoCoreError, ClientError) as error:
        raise RedriveError(f"the queue of {options.queue} cannot be used: {error}") from error
    done = "would be moved" if options.dry_run else "moved"
    print(f"{moved} {'letter' if moved == 1 else 'letters'} {done}")
    return 0


def _move(letters: DeadLetters, at_most: int, *, dry_run: bool) -> int:
    read = []
    for letter in letters.letters(at_most):
        read.append(letter)
        if not dry_run:
            letters.move(letter)
        print(f"{letter.sent_at:%Y-%m-%dT%H:%M:%SZ} {letter.message_id} {letter.names}".rstrip())
    if dry_run:
        for letter in read:
            letters.let_go(letter)
    return len(read)


def _deployed(options: RedriveOptions) -> tuple[Any, str]:
    session = boto3.Session(profile_name=options.profile, region_name=options.region)
    found = session.client("cloudformation").describe_stack_resource(
        StackName=str(options.stack), LogicalResourceId=QUEUES[options.queue]
    )
    return session.client("sqs"), str(found["StackResourceDetail"]["PhysicalResourceId"])


def _local(options: RedriveOptions) -> tuple[Any, str]:
    template = options.template
    queues = load_resources(template, _placeholders(template))
    queue = queues.get(QUEUES[options.queue])
    if queue is None:
        raise RedriveError(f"{template.name} has no {QUEUES[options.queue]}")
    client = local_client("sqs", str(options.queues_url), region=options.region or REGION)
    return client, queue.reference


def _placeholders(template: Path) -> Mapping[str, str]:
    """Return the parameters without which the template cannot be read; none concerns a queue."""
    given = {
        "Issuer": "https://local",
        "Audience": "local",
        # Without it there is no queue of webhooks.
        "WebhookSecretArn": WEBHOOK_SECRET_ARN,
    }
    return {name: value for name, value in given.items() if name in declared_parameters(template)}
