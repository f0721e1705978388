"""The options of `agentrun redrive`, apart from boto3, which takes a second to import."""

import argparse

QUEUES = {"runs": "RunQueue", "webhooks": "WebhookQueue"}
"""The queues' names in the template."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options: which letters, and where the stack is."""
    parser.add_argument("--queue", choices=sorted(QUEUES), default="runs", help="default: runs")
    parser.add_argument("--dry-run", action="store_true", help="only tell what would be moved")
    parser.add_argument(
        "--at-most",
        type=_count,
        metavar="N",
        help="default: as many as there are at the start, so that none is moved twice",
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--stack", help="a CloudFormation stack")
    where.add_argument("--queues-url", help="what `agentrun dev` prints beside SQS")
    parser.add_argument("--region", help="the stack's; default: your AWS settings'")
    parser.add_argument("--profile", help="an AWS profile")


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number
