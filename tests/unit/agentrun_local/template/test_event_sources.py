"""What the template says of mappings, queues and buckets is what the local stack serves."""

from pathlib import Path

import pytest

from agentrun_local.errors import TemplateError
from agentrun_local.template.event_sources import read_event_source
from agentrun_local.template.resources import Stack, read_stack

ROOT = Path(__file__).resolve().parents[4]
QUEUE = "arn:aws:sqs:eu-west-1:123456789012:agentrun-Jobs"
STREAM = "arn:aws:dynamodb:eu-west-1:123456789012:table/agentrun-Notes/stream/local"


@pytest.fixture(scope="module")
def own() -> Stack:
    return read_stack(ROOT / "template.yaml", {"Issuer": "https://x", "Audience": "a"})


def test_the_worker_gets_the_queues_messages_one_by_one(own: Stack) -> None:
    (source,) = (one for one in own.event_sources if one.function == "WorkerFunction")
    assert (source.service, source.resource) == ("sqs", own.queues["RunQueue"].name)
    assert (source.batch_size, source.max_concurrency, source.reports_failures) == (1, 10, True)


def test_the_queue_has_what_the_template_says(own: Stack) -> None:
    queue = own.queues["RunQueue"]
    assert queue.attributes["VisibilityTimeout"] == "900"
    arn = f"arn:aws:sqs:eu-west-1:123456789012:{own.queues['RunDeadLetters'].name}"
    assert queue.attributes["RedrivePolicy"] == (
        f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": 20}}'
    )


def test_functions_are_told_where_queue_and_bucket_are(own: Stack) -> None:
    for function in own.functions.values():
        assert function.environment["AGENTRUN_RUN_QUEUE_URL"] == own.queues["RunQueue"].url
        assert function.environment["AGENTRUN_BUCKET"] in own.buckets


def test_a_time_out_is_that_of_its_parameter() -> None:
    given = {"Issuer": "https://x", "Audience": "a", "WorkerTimeout": "60", "StreamTimeout": "75"}
    stack = read_stack(ROOT / "template.yaml", given)
    assert stack.functions["WorkerFunction"].timeout_s == 60
    assert stack.functions["StreamFunction"].timeout_s == 75
    assert stack.queues["RunQueue"].attributes["VisibilityTimeout"] == "60"


def test_defaults_are_lambdas() -> None:
    queue = read_event_source("M", {"EventSourceArn": QUEUE, "FunctionName": "F"})
    assert (queue.batch_size, queue.max_concurrency, queue.reports_failures) == (10, None, False)
    stream = read_event_source(
        "M", {"EventSourceArn": STREAM, "FunctionName": "F", "StartingPosition": "LATEST"}
    )
    assert (stream.service, stream.resource) == ("dynamodb", "agentrun-Notes")
    assert (stream.batch_size, stream.start, stream.max_retries) == (100, "LATEST", None)


@pytest.mark.parametrize(
    "name", ["F", "arn:aws:lambda:eu-west-1:123456789012:function:F", "F:live"]
)
def test_a_function_may_be_named_in_several_ways(name: str) -> None:
    assert read_event_source("M", {"EventSourceArn": QUEUE, "FunctionName": name}).function == "F"


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"EventSourceArn": QUEUE, "TumblingWindowInSeconds": 9}, "know TumblingWindowInSeconds"),
        ({"EventSourceArn": "arn:aws:kinesis:r:1:stream/s"}, "queues and tables' streams only"),
        ({}, "queues and tables' streams only"),
    ],
)
def test_what_the_local_stack_does_not_know_is_refused(
    properties: dict[str, object], message: str
) -> None:
    with pytest.raises(TemplateError, match=message):
        read_event_source("M", {"FunctionName": "F", **properties})
