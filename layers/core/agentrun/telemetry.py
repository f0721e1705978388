"""Logs and metrics; Powertools without its Tracer, which costs 250 ms of cold start."""

import logging
import os

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from agentrun.domain.outcomes import Outcome
from agentrun.domain.runs import AgentRun

logger = Logger()
"""Structured JSON; its service name comes from POWERTOOLS_SERVICE_NAME."""


def log_as_json() -> None:
    """
    Send what the project's modules log with the standard library the same way.

    Libraries are heard from their warnings on, whatever the function's log level: below that, an
    HTTP client writes down every URL that it calls, and one of media may hold a signature.
    """
    root = logging.getLogger()
    root.setLevel(max(root.level, logging.WARNING))
    for name in ("agentrun", "agent_catalog"):
        project = logging.getLogger(name)
        project.handlers = list(logger.handlers)
        project.setLevel(logger.log_level)
        project.propagate = False


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
