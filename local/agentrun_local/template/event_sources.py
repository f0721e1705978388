"""Event source mappings: which queue or stream is read for which function, and how."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentrun_local.errors import TemplateError
from agentrun_local.template.event_filter import EventFilter

_DEFAULT_BATCH = {"sqs": 10, "dynamodb": 100}
"""CreateEventSourceMapping, `BatchSize`."""
_KNOWN = frozenset(
    {
        "BatchSize",
        "BisectBatchOnFunctionError",
        # For records that are given up; here they are only logged.
        "DestinationConfig",
        "Enabled",
        "EventSourceArn",
        "FilterCriteria",
        "FunctionName",
        "FunctionResponseTypes",
        "MaximumBatchingWindowInSeconds",
        "MaximumRetryAttempts",
        "ScalingConfig",
        "StartingPosition",
        "Tags",
    }
)


@dataclass(frozen=True)
class EventSource:
    """
    One mapping. `max_concurrency` is that of a queue.

    A stream's records are tried once more `max_retries` times; None is for ever. Its `start` is
    TRIM_HORIZON or LATEST.
    """

    arn: str
    function: str
    batch_size: int
    reports_failures: bool
    filter: EventFilter
    max_concurrency: int | None = None
    start: str = ""
    max_retries: int | None = None

    @property
    def service(self) -> str:
        """What kind of source it is: sqs or dynamodb."""
        return self.arn.split(":")[2]

    @property
    def resource(self) -> str:
        """The queue's name, or the table's."""
        return self.arn.split(":")[5].removeprefix("table/").partition("/")[0]


def read_event_source(name: str, properties: Mapping[str, Any]) -> EventSource:
    """
    Read a mapping's properties.

    Raises:
        TemplateError: It has something that the local stack does not know.
    """
    if unknown := sorted(set(properties) - _KNOWN):
        raise TemplateError(f"{name}: the local stack does not know {', '.join(unknown)}.")
    arn = str(properties.get("EventSourceArn", ""))
    service = arn.split(":")[2] if arn.count(":") >= 5 else ""
    if service not in _DEFAULT_BATCH:
        raise TemplateError(f"{name}: the local stack reads queues and tables' streams only.")
    retries = int(properties.get("MaximumRetryAttempts", -1))
    concurrency = properties.get("ScalingConfig", {}).get("MaximumConcurrency")
    return EventSource(
        arn=arn,
        # A name or an ARN, perhaps with an alias.
        function=str(properties["FunctionName"]).split(":function:")[-1].partition(":")[0],
        batch_size=int(properties.get("BatchSize", _DEFAULT_BATCH[service])),
        reports_failures="ReportBatchItemFailures" in properties.get("FunctionResponseTypes", ()),
        filter=EventFilter(name, properties.get("FilterCriteria", {})),
        max_concurrency=None if concurrency is None else int(concurrency),
        start=str(properties.get("StartingPosition", "")),
        max_retries=None if retries < 0 else retries,
    )
