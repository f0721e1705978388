"""The template as CloudFormation gets it: SAM translated, parameters and intrinsics resolved."""

import copy
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import boto3
import yaml
from samtranslator.model.exceptions import InvalidDocumentException  # type: ignore[import-untyped] # no stubs exist
from samtranslator.parser.parser import Parser  # type: ignore[import-untyped] # no stubs exist
from samtranslator.translator.translator import Translator  # type: ignore[import-untyped] # no stubs exist
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped] # no stubs exist

from agentrun_local.errors import TemplateError
from agentrun_local.template.intrinsics import Resolver
from agentrun_local.template.parameters import check_values, is_list

REGION = "eu-west-1"
ACCOUNT = "123456789012"
STACK_NAME = "agentrun"
URL_ID = "localfunctionurl"
"""The id of the Function URL, which is a part of its host on AWS."""
FUNCTION_URL = f"https://{URL_ID}.lambda-url.{REGION}.on.aws"
"""The base URL of a Function URL that nobody serves."""

# The translator accepts only code that is already in S3, so the key names the folder.
_LOCAL_BUCKET = "s3://local/"
# On every start it logs that some feature toggle is not configured.
logging.getLogger("samtranslator").setLevel(logging.ERROR)

_PSEUDO_PARAMETERS = {
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackName": STACK_NAME,
    "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{STACK_NAME}/local",
    "AWS::NotificationARNs": [],
}


@dataclass(frozen=True)
class Resource:
    """One resource: its type, the value of `Ref`, its properties without intrinsic functions."""

    type: str
    reference: str
    properties: dict[str, Any]


def load_resources(
    path: Path, parameters: Mapping[str, str], *, function_url: str = FUNCTION_URL
) -> dict[str, Resource]:
    """
    Read a SAM template with AWS's own translator.

    Args:
        path: The template; `CodeUri` and `ContentUri` in it must be local folders.
        parameters: Values that replace the parameters' defaults; unknown names are an error.
        function_url: The base URL at which the Function URL is served.

    Returns:
        The resources by logical id, without those whose condition is false.

    Raises:
        TemplateError: The file is missing or is not a valid SAM template.
    """
    text = _read(path)
    declared = _parse(path, text).get("Parameters", {})
    if unknown := sorted(set(parameters) - set(declared)):
        raise TemplateError(f"{path.name} has no parameter {', '.join(unknown)}.")
    check_values(declared, parameters)
    values = _parameter_values(declared, parameters)
    return _resolve(_translate(path, text), values, function_url)


def _resolve(
    template: dict[str, Any], values: dict[str, Any], function_url: str
) -> dict[str, Resource]:
    resources: dict[str, Any] = template["Resources"]
    references = {name: _reference(name, resource) for name, resource in resources.items()}

    def attribute(name: str, wanted: str) -> str:
        kind = resources.get(name, {}).get("Type", "")
        match wanted:
            case "Arn":
                return _arn(kind, references.get(name, name))
            case "StreamArn":
                # AWS has the time of its creation at the end.
                return f"{_arn(kind, references[name])}/stream/local"
            case "QueueName":
                return queue_name(references[name])
            case "FunctionUrl":
                # AWS's ends in a slash, too.
                return f"{function_url}/"
        # It belongs to something that is not here.
        return f"{name}.{wanted}"

    resolver = Resolver(
        refs=references | values,
        attribute=attribute,
        conditions=template.get("Conditions", {}),
        mappings=template.get("Mappings", {}),
    )
    return {
        name: Resource(
            resource["Type"], references[name], resolver.resolve(resource.get("Properties", {}))
        )
        for name, resource in resources.items()
        if "Condition" not in resource or resolver.condition(resource["Condition"])
    }


def declared_parameters(path: Path) -> frozenset[str]:
    """Return the names of the template's parameters."""
    return frozenset(_parse(path, _read(path)).get("Parameters", {}))


def parameter_definitions(path: Path) -> Mapping[str, Mapping[str, Any]]:
    """Return the template's section `Parameters`, by the parameters' names."""
    definitions: dict[str, dict[str, Any]] = _parse(path, _read(path)).get("Parameters", {})
    return definitions


def declared_variables(path: Path) -> frozenset[str]:
    """Return the names of the environment variables that the template sets in any function."""
    document = _parse(path, _read(path))
    globals_of_functions = (document.get("Globals") or {}).get("Function") or {}
    properties = [each.get("Properties") or {} for each in document["Resources"].values()]
    return frozenset(
        name
        for each in (globals_of_functions, *properties)
        if isinstance(each.get("Environment"), dict)
        for name in each["Environment"].get("Variables") or ()
    )


def parameter_value(path: Path, given: Mapping[str, str], name: str) -> str:
    """Return a parameter's value; empty if the template does not declare it."""
    declared = _parse(path, _read(path)).get("Parameters", {})
    return str(given.get(name, declared.get(name, {}).get("Default", "")))


def function_arn(name: str) -> str:
    """Return the ARN that a function of this name has here."""
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise TemplateError(
            f"Cannot read {path}: no such file. agentrun init DIR makes a project that has one."
        ) from error
    except OSError as error:
        raise TemplateError(f"Cannot read {path}: {error.strerror}.") from error


def _parse(path: Path, text: str) -> dict[str, Any]:
    """Return the template, which nobody may change."""
    try:
        document = _parsed(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        said = error.problem or error.context
        raise TemplateError(f"{path} is not YAML: line {line}: {said}.", line=line) from error
    except yaml.YAMLError as error:
        said = str(error).partition("\n")[0]
        raise TemplateError(f"{path} is not YAML: {said}.") from error
    if not isinstance(document, dict) or "Resources" not in document:
        raise TemplateError(f"{path} has no Resources.")
    return document


def _translate(path: Path, text: str) -> dict[str, Any]:
    """Return the template without SAM's resources; nobody may change it."""
    try:
        return _translated(text)
    except InvalidDocumentException as error:
        causes = "; ".join(cause.message for cause in error.causes)
        raise TemplateError(f"{path.name} is not a valid SAM template: {causes}") from error


# A start reads the template several times, and each time would take 0.2 s.
@lru_cache(maxsize=2)
def _parsed(text: str) -> Any:
    return yaml_parse(text)


@lru_cache(maxsize=2)
def _translated(text: str) -> dict[str, Any]:
    document = copy.deepcopy(_parsed(text))
    for resource in document["Resources"].values():
        properties = resource.get("Properties", {})
        for key in ("CodeUri", "ContentUri"):
            if isinstance(properties.get(key), str):
                properties[key] = _LOCAL_BUCKET + properties[key]
    translator = Translator(None, Parser(), boto_session=boto3.Session(region_name=REGION))
    # IAM is not part of the local stack: no managed policy needs to be looked up.
    translated: dict[str, Any] = translator.translate(
        document, parameter_values={}, get_managed_policy_map=dict
    )
    return translated


def _parameter_values(declared: dict[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = dict(_PSEUDO_PARAMETERS)
    for name, definition in declared.items():
        value = given.get(name, definition.get("Default"))
        if value is None:
            raise TemplateError(f"The parameter {name} has no default: give --parameter {name}=…")
        items = [item.strip() for item in str(value).split(",")]
        values[name] = items if is_list(definition) else str(value)
    return values


def _reference(name: str, resource: dict[str, Any]) -> str:
    """Return what `Ref` does: a name, but for a queue its URL."""
    properties = resource.get("Properties", {})

    def named(key: str) -> str:
        own_name = properties.get(key)
        return own_name if isinstance(own_name, str) else f"{STACK_NAME}-{name}"

    match resource["Type"]:
        case "AWS::DynamoDB::Table":
            return named("TableName")
        case "AWS::S3::Bucket":
            return named("BucketName").lower()
        case "AWS::SQS::Queue":
            # Clients that have an endpoint of their own take only the path from it.
            return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{named('QueueName')}"
    return name


def _arn(kind: str, reference: str) -> str:
    match kind:
        case "AWS::DynamoDB::Table":
            return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{reference}"
        case "AWS::S3::Bucket":
            return f"arn:aws:s3:::{reference}"
        case "AWS::SQS::Queue":
            return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue_name(reference)}"
    # Any other ARN belongs to something that is not here.
    return function_arn(reference)


def queue_name(url: str) -> str:
    """Return the name of the queue with this URL."""
    return url.rpartition("/")[2]
