"""What the local stack takes from the template."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from agentrun_local.doors.rest_definition import RestApi, read_rest_api
from agentrun_local.errors import TemplateError
from agentrun_local.template.cloudformation import (
    FUNCTION_URL,
    Resource,
    load_resources,
    parameter_value,
    queue_name,
)
from agentrun_local.template.event_sources import EventSource, read_event_source
from agentrun_local.template.parameters import as_text
from agentrun_project.placement import source_folder

STREAM_CONCURRENCY = 64
"""Invocations at once in one process of a function that has its own runtime."""

BASE_PATH = "BasePath"
"""The parameter with the base path below which a custom domain serves the API."""

_TABLE_PROPERTIES = (
    "AttributeDefinitions",
    "KeySchema",
    "GlobalSecondaryIndexes",
    "LocalSecondaryIndexes",
    "BillingMode",
    "ProvisionedThroughput",
)
_QUEUE_PROPERTIES = (
    "DelaySeconds",
    "FifoQueue",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "RedrivePolicy",
    "VisibilityTimeout",
)


_T = TypeVar("_T")


@dataclass(frozen=True)
class Function:
    """One Lambda function."""

    name: str
    handler: str
    runtime: str
    code_dir: Path
    layer_dirs: tuple[Path, ...]
    timeout_s: int
    memory_mb: int
    environment: Mapping[str, str]
    json_logs: bool
    concurrency: int

    @property
    def exec_wrapper(self) -> Path | None:
        """
        The script that starts the runtime, found in the layers as Lambda finds it in /opt.

        Raises:
            TemplateError: No layer of the function has the file.
        """
        wrapper = self.environment.get("AWS_LAMBDA_EXEC_WRAPPER", "")
        if not wrapper:
            return None
        for layer in self.layer_dirs:
            candidate = layer / wrapper.removeprefix("/opt/")
            if candidate.is_file():
                return candidate
        raise TemplateError(f"{self.name}: no layer of it has the exec wrapper {wrapper}.")


@dataclass(frozen=True)
class FunctionUrl:
    """A Function URL: its function, and whether it streams."""

    function: str
    streaming: bool


@dataclass(frozen=True)
class Table:
    """A DynamoDB table: the arguments of CreateTable, and the TTL attribute."""

    name: str
    definition: Mapping[str, Any]
    ttl_attribute: str | None


@dataclass(frozen=True)
class Queue:
    """An SQS queue: its URL as the functions know it, and the attributes of CreateQueue."""

    url: str
    attributes: Mapping[str, str]

    @property
    def name(self) -> str:
        """The last part of the URL."""
        return queue_name(self.url)


@dataclass(frozen=True)
class Stack:
    """Everything that the local stack runs."""

    functions: Mapping[str, Function]
    rest_api: RestApi | None
    function_url: FunctionUrl | None
    tables: tuple[Table, ...]
    queues: Mapping[str, Queue] = field(default_factory=dict)
    buckets: tuple[str, ...] = ()
    event_sources: tuple[EventSource, ...] = ()


def read_stack(
    path: Path, parameters: Mapping[str, str], *, function_url: str = FUNCTION_URL
) -> Stack:
    """
    Read the template, except for what the local stack does not need (IAM, logs, alarms).

    Args:
        path: The template.
        parameters: Values that replace the parameters' defaults.
        function_url: The base URL at which the Function URL is served.

    Raises:
        TemplateError: The template is missing or broken, or lacks something that Lambda requires.
    """
    resources = load_resources(path, parameters, function_url=function_url)
    root = path.resolve().parent

    def of_type(type_name: str) -> list[tuple[str, Resource]]:
        return [(name, r) for name, r in resources.items() if r.type == type_name]

    layers = {
        name: _folder(root, name, resource.properties["Content"])
        for name, resource in of_type("AWS::Lambda::LayerVersion")
    }
    # The template has no base path mapping: that is part of the domain's own stack.
    base_path = parameter_value(path, parameters, BASE_PATH).strip("/")
    apis = [
        replace(read_rest_api(resource, resources), base_path=f"/{base_path}" if base_path else "")
        for _, resource in of_type("AWS::ApiGateway::RestApi")
    ]
    urls = [_function_url(resource) for _, resource in of_type("AWS::Lambda::Url")]
    return Stack(
        functions={
            name: _function(name, resource.properties, root, layers)
            for name, resource in of_type("AWS::Lambda::Function")
        },
        rest_api=_at_most_one(apis, "REST API"),
        function_url=_at_most_one(urls, "Function URL"),
        tables=tuple(_table(r) for _, r in of_type("AWS::DynamoDB::Table")),
        queues={name: _queue(resource) for name, resource in of_type("AWS::SQS::Queue")},
        buckets=tuple(resource.reference for _, resource in of_type("AWS::S3::Bucket")),
        event_sources=tuple(
            read_event_source(name, resource.properties)
            for name, resource in of_type("AWS::Lambda::EventSourceMapping")
        ),
    )


def _function(
    name: str, properties: dict[str, Any], root: Path, layers: dict[str, Path]
) -> Function:
    variables = properties.get("Environment", {}).get("Variables", {})
    has_own_runtime = "AWS_LAMBDA_EXEC_WRAPPER" in variables
    return Function(
        name=name,
        handler=properties["Handler"],
        runtime=properties.get("Runtime", "python3.13"),
        code_dir=_folder(root, name, properties["Code"]),
        layer_dirs=tuple(_layer(name, layer, layers) for layer in properties.get("Layers", [])),
        # 3 s and 128 MB are Lambda's defaults (CreateFunction).
        timeout_s=int(properties.get("Timeout", 3)),
        memory_mb=int(properties.get("MemorySize", 128)),
        environment={key: as_text(value) for key, value in variables.items()},
        json_logs=properties.get("LoggingConfig", {}).get("LogFormat") == "JSON",
        concurrency=STREAM_CONCURRENCY if has_own_runtime else 1,
    )


def _layer(function: str, name: str, layers: dict[str, Path]) -> Path:
    if name not in layers:
        raise TemplateError(f"{function}: the layer {name} is not in the template.")
    return layers[name]


def _folder(root: Path, name: str, code: dict[str, Any]) -> Path:
    if "S3Key" not in code:
        raise TemplateError(f"{name}: its code is not a local folder.")
    try:
        return source_folder(root, name, str(code["S3Key"]))
    except ValueError as error:
        raise TemplateError(f"{name}: {error}.") from error


def _function_url(resource: Resource) -> FunctionUrl:
    properties = resource.properties
    if "Cors" in properties:
        raise TemplateError("The local stack does not know the Cors of a Function URL.")
    return FunctionUrl(
        function=properties["TargetFunctionArn"].rpartition(":")[2],
        streaming=properties.get("InvokeMode") == "RESPONSE_STREAM",
    )


def _table(resource: Resource) -> Table:
    properties = resource.properties
    definition = {key: properties[key] for key in _TABLE_PROPERTIES if key in properties}
    if stream := properties.get("StreamSpecification"):
        # CloudFormation has no property that enables it.
        definition["StreamSpecification"] = {"StreamEnabled": True, **stream}
    ttl = properties.get("TimeToLiveSpecification", {})
    return Table(
        name=resource.reference,
        definition=definition,
        ttl_attribute=ttl.get("AttributeName") if ttl.get("Enabled") else None,
    )


def _queue(resource: Resource) -> Queue:
    given = {k: resource.properties[k] for k in _QUEUE_PROPERTIES if k in resource.properties}
    attributes = {
        key: json.dumps(value) if isinstance(value, dict) else as_text(value)
        for key, value in given.items()
    }
    return Queue(resource.reference, attributes)


def _at_most_one(found: list[_T], what: str) -> _T | None:
    if len(found) > 1:
        raise TemplateError(f"The local stack serves one {what}; the template has {len(found)}.")
    return found[0] if found else None
