"""Logs and metrics; Powertools without its Tracer, which costs 250 ms of cold start."""

import logging
import os
from collections.abc import Callable
from typing import Literal

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from agentrun.causes import described, first_cause, in_full, plain_text
from agentrun.domain.endings import Outcome
from agentrun.domain.runs import AgentRun

logger = Logger()
"""Structured JSON; its service name comes from POWERTOOLS_SERVICE_NAME."""


def log_as_json(causes: Literal["safe", "full"] = "safe") -> None:
    """
    Log what the project's modules say through the standard library as JSON, too.

    Libraries log warnings and above only, whatever the function's log level: below that, an HTTP
    client logs every URL that it calls, and a media URL may contain a signature.

    Args:
        causes: `safe` logs no exception's text that may quote people or models; `full` logs
            everything, for a machine whose log only its developer reads.
    """
    root = logging.getLogger()
    root.setLevel(max(root.level, logging.WARNING))
    for handler in (*root.handlers, *logger.handlers):
        for others in (without_quotes, with_quotes):
            handler.removeFilter(others)
        handler.addFilter(without_quotes if causes == "safe" else with_quotes)
    for name in ("agentrun", "agent_catalog"):
        project = logging.getLogger(name)
        project.handlers = list(logger.handlers)
        project.setLevel(logger.log_level)
        project.propagate = False


def without_quotes(record: logging.LogRecord) -> bool:
    """Describe a record's exception by kinds and places only; let every record pass."""
    return _explained(record, plain_text, described)


def with_quotes(record: logging.LogRecord) -> bool:
    """Describe a record's exception in full; let every record pass."""
    return _explained(record, str, in_full)


def _explained(
    record: logging.LogRecord,
    text_of: Callable[[BaseException], str],
    whole: Callable[[BaseException], str],
) -> bool:
    if record.exc_info and record.exc_info[1]:
        error = record.exc_info[1]
        record.exc_info = record.exc_text = None
        explained = f"{first_cause(error, text_of)}\n\n{whole(error).rstrip()}"
        # Powertools describes an exception itself unless these are there.
        vars(record).update(exception=explained, exception_name=type(error).__name__)
    return True


def count_ended_run(run: AgentRun, outcome: Outcome | None) -> None:
    """Write how an execution ended as metrics, on one line (CloudWatch's embedded format)."""
    metrics = EphemeralMetrics(namespace=os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "agentrun"))
    metrics.add_dimension(name="agent", value=run.agent_id)
    ended_as = outcome.status if outcome else "LOST"
    metrics.add_metric(name=f"Runs{ended_as.title()}", unit=MetricUnit.Count, value=1)
    if outcome is not None and outcome.metrics.duration_ms is not None:
        duration_ms = outcome.metrics.duration_ms
        metrics.add_metric(name="RunDuration", unit=MetricUnit.Milliseconds, value=duration_ms)
    # Beside the metrics, not one of their dimensions: to find the run in the log.
    metrics.add_metadata(key="runId", value=run.id)
    if outcome is not None and outcome.metrics.total_tokens is not None:
        metrics.add_metadata(key="totalTokens", value=outcome.metrics.total_tokens)
    metrics.flush_metrics()
