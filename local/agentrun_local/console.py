"""The developer's console: one line per event, each with its source in front."""

import json
import sys
from collections.abc import Callable
from typing import Any, TextIO

_WIDTH = 10
_ENDED = ("RunsCompleted", "RunsFailed", "RunsCancelled", "RunsPaused", "RunsLost")
_COLOURS = (36, 35, 33, 32, 34, 96)
# Fields of every JSON log line of Powertools and Lambda; on a terminal they only hide the rest.
_NOISE = frozenset(
    {
        "timestamp",
        "level",
        "message",
        "errorMessage",
        "stackTrace",
        "location",
        "service",
        "logger",
        "requestId",
        "cold_start",
        "function_name",
        "function_memory_size",
        "function_arn",
        "function_request_id",
        "xray_trace_id",
        "exception",
        "exception_name",
        "stack_trace",
    }
)


class Console:
    """Writes to one stream, in colour when that is a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._sources: list[str] = []

    def source(self, name: str) -> Callable[[str], None]:
        """Return the function that writes lines of this source."""
        if name not in self._sources:
            self._sources.append(name)
        prefix = name.removesuffix("Function").lower().ljust(_WIDTH)
        if self._stream.isatty():
            colour = _COLOURS[self._sources.index(name) % len(_COLOURS)]
            prefix = f"\033[{colour}m{prefix}\033[0m"

        def write(line: str) -> None:
            for text in readable(line).splitlines():
                self._stream.write(f"{prefix} {text}\n")
            self._stream.flush()

        return write


def readable(line: str) -> str:
    """Turn a structured log line, or a metric in CloudWatch's embedded format, into plain text."""
    if not line.startswith("{"):
        return line.replace("\u00a0", " ")
    try:
        record: dict[str, Any] = json.loads(line)
    except ValueError:
        return line
    if "_aws" in record:
        return _metrics(record)
    if "message" not in record and "errorMessage" not in record:
        return line
    message = record.get("message", record.get("errorMessage"))
    details = " ".join(f"{k}={v}" for k, v in record.items() if k not in _NOISE and v is not None)
    text = f"{record.get('level', '')} {message} {details}".strip()
    trace = record.get("exception") or record.get("stackTrace") or ""
    return f"{text}\n{trace if isinstance(trace, str) else ''.join(trace)}".rstrip()


def _metrics(record: dict[str, Any]) -> str:
    if "runId" in record:
        return _ended_run(record)
    names = [
        metric["Name"]
        for directive in record["_aws"].get("CloudWatchMetrics", [])
        for metric in directive.get("Metrics", [])
    ]
    return "metrics " + " ".join(f"{name}={record.get(name)}" for name in names)


def _ended_run(record: dict[str, Any]) -> str:
    """Tell how a run ended, from the metrics that its function wrote."""
    ended_as = next((name[4:].lower() for name in record if name.startswith(_ENDED)), "ended")
    facts = [f"run {record['runId']} of {record.get('agent')} {ended_as}"]
    if "totalTokens" in record:
        facts.append(f"{record['totalTokens']} tokens")
    if duration := record.get("RunDuration"):
        # EMF has a list of values for each metric.
        milliseconds = duration[0] if isinstance(duration, list) else duration
        facts.append(f"{milliseconds / 1000:.1f} s")
    return ", ".join(facts)
