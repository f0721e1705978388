"""Answers, waits for company, hangs, raises or dies, as the request says."""

import json
import os
import time
import uuid
from pathlib import Path
from typing import Any

VERSION = 1


def handler(event: dict[str, Any], _context: object) -> Any:
    """Do what the body says, and tell who did it."""
    order = json.loads(event["body"])
    match order["do"]:
        case "meet":
            meet(Path(order["folder"]), order["parties"])
        case "hang":
            time.sleep(3600)
        case "exit":
            os._exit(3)
        case "raise":
            raise ValueError("as told")
        case "answer":
            return order["with"]
        case "fill":
            return {"statusCode": 200, "body": "x" * order["bytes"]}
    answer = {"pid": os.getpid(), "version": VERSION, "greeting": os.environ["GREETING"]}
    answer["secret"] = os.environ.get("SECRET", "")
    return {"statusCode": 200, "body": json.dumps(answer)}


def meet(folder: Path, parties: int) -> None:
    """Return when so many invocations are here at once."""
    (folder / str(uuid.uuid4())).touch()
    while len(list(folder.iterdir())) < parties:
        time.sleep(0.01)
