"""Writes down each record that it gets; one that is broken fails, and those after it."""

import json
from pathlib import Path
from typing import Any


def handler(event: dict[str, Any], _context: object) -> Any:
    """Name the first record that cannot be taken."""
    for record in event["Records"]:
        note = record["dynamodb"]["NewImage"]
        with Path(note["trace"]["S"]).open("a") as trace:
            trace.write(json.dumps(record) + "\n")
        if "broken" in note:
            return {"batchItemFailures": [{"itemIdentifier": record["dynamodb"]["SequenceNumber"]}]}
    return None
