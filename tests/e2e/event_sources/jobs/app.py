"""Writes down each message that it gets, and does what it says."""

import json
import os
import time
from pathlib import Path
from typing import Any


def handler(event: dict[str, Any], _context: object) -> Any:
    """Work off a batch; name the messages that are to fail."""
    failed = []
    for record in event["Records"]:
        order = json.loads(record["body"])
        write_down(order, {"begun": os.getpid(), "batch": len(event["Records"]), "record": record})
        match order.get("do"):
            case "exit":
                os._exit(3)
            case "hang":
                time.sleep(3600)
            case "raise":
                raise ValueError("as told")
            case "fail":
                failed.append({"itemIdentifier": record["messageId"]})
            case "linger":
                time.sleep(0.3)
            case "answer":
                return order["with"]
        write_down(order, {"ended": os.getpid()})
    return {"batchItemFailures": failed}


def write_down(order: dict[str, Any], line: dict[str, Any]) -> None:
    """Append a line; one write of a few kilobytes is not torn apart."""
    with Path(order["trace"]).open("a") as trace:
        trace.write(json.dumps(line) + "\n")
