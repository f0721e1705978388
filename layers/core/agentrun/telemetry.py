"""Logs and metrics; Powertools without its Tracer, which costs 250 ms of cold start."""

import logging
import os
import traceback

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from agentrun.domain.errors import AgentrunError
from agentrun.domain.outcomes import Outcome
from agentrun.domain.runs import AgentRun

_LONGEST_CHAIN = 10
_OF_AWS = "botocore.exceptions.ClientError"

logger = Logger()
"""Structured JSON; its service name comes from POWERTOOLS_SERVICE_NAME."""


def log_as_json() -> None:
    """
    Send what the project's modules log with the standard library the same way.

    Of exceptions no text is logged that may quote what people or models have said. Libraries are
    heard from their warnings on, whatever the function's log level: below that, an HTTP client
    writes down every URL that it calls, and one of media may hold a signature.
    """
    root = logging.getLogger()
    root.setLevel(max(root.level, logging.WARNING))
    for handler in (*root.handlers, *logger.handlers):
        handler.addFilter(without_quotes)
    for name in ("agentrun", "agent_catalog"):
        project = logging.getLogger(name)
        project.handlers = list(logger.handlers)
        project.setLevel(logger.log_level)
        project.propagate = False


def without_quotes(record: logging.LogRecord) -> bool:
    """Replace a record's exception by what it says of kinds and places; lets every record pass."""
    if record.exc_info and record.exc_info[1]:
        error = record.exc_info[1]
        record.exc_info = record.exc_text = None
        # The names that Powertools looks for before it describes an exception itself.
        vars(record).update(exception=_described(error), exception_name=type(error).__name__)
    return True


def _described(error: BaseException | None) -> str:
    """Describe an exception and what led to it, the first cause first, as Python does."""
    described: list[str] = []
    while error is not None and len(described) < _LONGEST_CHAIN:
        kind = f"{type(error).__module__}.{type(error).__qualname__}"
        text = f"{kind}: {error}" if _is_plain(error) else kind
        described.append("".join([*traceback.format_tb(error.__traceback__), text]))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n\n".join(reversed(described))


def _is_plain(error: BaseException) -> bool:
    """Tell whether an exception's text quotes no one: our own are worded so, and those of AWS."""
    if isinstance(error, AgentrunError | OSError):
        return True
    # By name: the authorizer gets along without botocore.
    return any(f"{kind.__module__}.{kind.__name__}" == _OF_AWS for kind in type(error).__mro__)


def count_ended_run(run: AgentRun, outcome: Outcome | None) -> None:
    """Write what one execution came to as metrics (CloudWatch's embedded format), on one line."""
    metrics = EphemeralMetrics(namespace=os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "agentrun"))
    metrics.add_dimension(name="agent", value=run.agent_id)
    ended_as = outcome.status if outcome else "LOST"
    metrics.add_metric(name=f"Runs{ended_as.title()}", unit=MetricUnit.Count, value=1)
    if outcome is not None and outcome.metrics.duration_ms is not None:
        duration_ms = outcome.metrics.duration_ms
        metrics.add_metric(name="RunDuration", unit=MetricUnit.Milliseconds, value=duration_ms)
    metrics.flush_metrics()
