#!/usr/bin/env bash
# aws-lambda-powertools 3.37.0, partial batch responses: if all records of a batch fail, it raises
# BatchProcessingError instead of listing them in `batchItemFailures`; with a batch size of 1 that is
# every failure. `raise_on_entire_batch_failure=False` makes it respond as documented for SQS.
#
# Also: the record handler is called with the keyword `record`. A handler whose parameter has any other
# name fails for each record, and that TypeError counts as a failed record.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder"/venv/bin/pip install --quiet --disable-pip-version-check aws-lambda-powertools==3.37.0
"$folder/venv/bin/python" - <<'PY'
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError


def sqs(*bodies: str) -> dict:
    return {
        "Records": [
            {
                "messageId": body,
                "receiptHandle": "handle",
                "body": body,
                "attributes": {},
                "messageAttributes": {},
                "md5OfBody": "",
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:runs",
                "awsRegion": "eu-west-1",
            }
            for body in bodies
        ]
    }


def well_named(record) -> None:
    if record.body == "bad":
        raise ValueError("cannot be run")


def otherwise_named(message) -> None:
    pass


def answer(*bodies: str, handler=well_named, **options: bool):
    processor = BatchProcessor(event_type=EventType.SQS, **options)
    try:
        answered = process_partial_response(
            event=sqs(*bodies), record_handler=handler, processor=processor, context=None
        )
    except BatchProcessingError:
        return "BatchProcessingError"
    return [failure["itemIdentifier"] for failure in answered["batchItemFailures"]]


seen = {
    "one of two": answer("good", "bad"),
    "one of one": answer("bad"),
    "one of one, asked not to raise": answer("bad", raise_on_entire_batch_failure=False),
    "a parameter of another name": answer("good", handler=otherwise_named),
}
print(seen)
assert seen == {
    "one of two": ["bad"],
    "one of one": "BatchProcessingError",
    "one of one, asked not to raise": ["bad"],
    "a parameter of another name": "BatchProcessingError",
}
PY
