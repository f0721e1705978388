"""
`python -m bench.path_length`: the files and functions that one warm streamed run passes through.

A reader who follows a run from its request to its last event has to open each of these files. The
runtime (`lambda_asgi`) is left out: it stands below the project and knows nothing of it.
"""

import asyncio
import importlib
import json
import os
import sys
import threading
from collections import Counter
from types import CodeType, FrameType
from typing import Any

from bench.lab import open_lab
from bench.processes import ROOT

_OURS = tuple(str(ROOT / folder) + os.sep for folder in ("layers", "functions"))
_LEFT_OUT = f"{os.sep}lambda_asgi{os.sep}"
_RUNS = "/api/agents/analyst/runs/stream"
_MESSAGE = "What is 17 * 23?"


class CallNotes:
    """The project's functions that are called, in any thread, while it is `on`."""

    def __init__(self) -> None:
        self.codes: set[CodeType] = set()
        self.on = False

    def install(self) -> None:
        """Watch this thread and all threads started from now on."""
        threading.setprofile(self._note)
        sys.setprofile(self._note)

    def _note(self, frame: FrameType, event: str, _: Any) -> None:
        name = frame.f_code.co_filename
        if self.on and event == "call" and name.startswith(_OURS) and _LEFT_OUT not in name:
            self.codes.add(frame.f_code)


async def _run_once(app: Any, token: str) -> bytes:
    """Stream one run from the app; return the body."""
    body = bytearray()
    requests = [{"type": "http.request", "body": json.dumps({"message": _MESSAGE}).encode()}]

    async def receive() -> dict[str, Any]:
        return requests.pop() if requests else await asyncio.Future()

    async def send(message: dict[str, Any]) -> None:
        body.extend(message.get("body", b""))

    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    scope = {
        "type": "http",
        "method": "POST",
        "path": _RUNS,
        "raw_path": _RUNS.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    await app(scope, receive, send)
    if b'"event":"STOP"' not in body:
        raise RuntimeError(f"The run did not complete: {bytes(body)!r}")
    return bytes(body)


async def passed_through() -> set[CodeType]:
    """Return the functions of one run in a process that has already made one."""
    notes = CallNotes()
    async with open_lab() as lab:
        os.environ.update(lab.environment | lab.on_light_store)
        # Before the first run: threads that are there already cannot be watched.
        notes.install()
        app = importlib.import_module("functions.stream.app").app
        await _run_once(app, lab.token)
        notes.on = True
        await _run_once(app, lab.token)
        notes.on = False
    return notes.codes


def main() -> None:
    """Count and print."""
    codes = asyncio.run(passed_through())
    files = Counter(code.co_filename for code in codes)
    for name, functions in sorted(files.items()):
        print(f"{functions:4}  {os.path.relpath(name, ROOT)}")
    print(f"{len(files)} files, {len(codes)} functions")


if __name__ == "__main__":
    main()
