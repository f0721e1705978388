"""The template as CloudFormation gets it, and the ways that its tests look into it."""

from functools import cache
from pathlib import Path
from typing import Any

# samtranslator ships no types.
from samtranslator.translator.transform import transform  # type: ignore[import-untyped]
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parents[1]


class _NoManagedPolicies:
    """The template names none, so none has to be asked for at IAM."""

    def load(self) -> dict[str, str]:
        return {}


@cache
def stack() -> dict[str, Any]:
    """The project's own template, translated."""
    return translated((ROOT / "template.yaml").read_text())


def translated(text: str) -> dict[str, Any]:
    """
    Let SAM translate a template, offline; what it would upload stands in a bucket.

    Raises:
        samtranslator.model.exceptions.InvalidDocumentException: SAM refuses it; `causes` say why.
    """
    template = yaml_parse(text)
    for resource in template["Resources"].values():
        for key in {"CodeUri", "ContentUri"} & set(resource["Properties"]):
            resource["Properties"][key] = "s3://bucket/key"
    result: dict[str, Any] = transform(template, {}, _NoManagedPolicies())
    return result


def properties(logical_id: str) -> dict[str, Any]:
    """What is said about one resource."""
    found: dict[str, Any] = stack()["Resources"][logical_id]["Properties"]
    return found


def of_type(kind: str) -> list[dict[str, Any]]:
    """What is said about every resource of a type."""
    resources = stack()["Resources"].values()
    return [resource["Properties"] for resource in resources if resource["Type"] == kind]


def openapi() -> dict[str, Any]:
    """The definition of the REST API."""
    found: dict[str, Any] = properties("Api")["Body"]
    return found


def operations() -> dict[tuple[str, str], dict[str, Any]]:
    """By path and method in small letters."""
    paths = openapi()["paths"].items()
    return {(path, method): found for path, of in paths for method, found in of.items()}


def routes() -> dict[tuple[str, str], dict[str, Any]]:
    """The operations that a function answers."""
    return {key: found for key, found in operations().items() if key[1] != "options"}
