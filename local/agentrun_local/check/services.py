"""Checks of the AWS services that tools ask boto3 for."""

import ast
import re
from collections.abc import Iterator
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

from agentrun_local.check.faults import Fault
from agentrun_local.check.imports import parsed
from agentrun_local.check.origins import Origins
from agentrun_local.check.project import Project
from agentrun_project.build import BOTOCORE_SERVICES

_PACKAGES = frozenset({"boto3", "aioboto3", "botocore", "aiobotocore"})
_MAKERS = frozenset({"client", "resource", "create_client"})


def check_services(project: Project) -> Iterator[Fault]:
    """Yield the services that the layers do not describe, or that the roles do not allow."""
    for path in sorted(project.tools.rglob("*.py")):
        tree = parsed(path)
        if tree is None:
            # `check_tools` says so.
            continue
        for line, service in _services(tree):
            yield from _of_one(project, path, line, service)


def _services(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield what clients are made for, each with its line; other things have a `client`, too."""
    origins = Origins(tree)
    if not origins.has_package(_PACKAGES):
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or (name := _named(node)) is None:
            continue
        found = origins.of(node.func)
        maker = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        package, _, called = (found or maker).rpartition(".")
        if called not in _MAKERS:
            continue
        # Without an import to come from, such as `self.session`: a service by its name.
        if package.partition(".")[0] in _PACKAGES or (not found and _is_service(name)):
            yield node.lineno, name


def _named(call: ast.Call) -> str | None:
    """Return the text that a call names first, or as `service_name`."""
    by_name = (keyword.value for keyword in call.keywords if keyword.arg == "service_name")
    match [*call.args[:1], *by_name]:
        case [ast.Constant(value=str(name)), *_]:
            return name
    return None


def _of_one(project: Project, path: Path, line: int, service: str) -> Iterator[Fault]:
    is_described = service in BOTOCORE_SERVICES or _brought(project, service)
    if not is_described and not _is_service(service):
        close = get_close_matches(service, (folder.name for folder in _described()), n=1)
        remedy = f"Did you mean '{close[0]}'?" if close else "See boto3's documentation."
        yield Fault(path, line, f"boto3 has no service '{service}'", remedy)
    elif not is_described:
        said = f"uses the AWS service '{service}', whose description is not in the layers"
        yield Fault(path, line, said, _remedy(project, service))
    elif not _is_allowed(project.template, service):
        yield Fault(
            path,
            line,
            f"uses the AWS service '{service}', of which the functions' roles allow nothing",
            f"Add a statement to the policies of StreamFunction and WorkerFunction in"
            f" {project.template.name}.",
            is_warning=True,
        )


def _remedy(project: Project, service: str) -> str:
    if project.has_own_lock:
        return f"Add '{service}' to BOTOCORE_SERVICES in local/agentrun_project/build.py."
    return (
        f"Copy botocore/data/{service} of this environment to tools/aws/{service}, and set"
        f" AWS_DATA_PATH to /opt/python/tools/aws in {project.template.name}, under Globals."
    )


def _brought(project: Project, service: str) -> bool:
    """Return whether the tools have a description, which `AWS_DATA_PATH` can lead to."""
    found = project.tools.glob("**/service-2.json*")
    return any(path.parent.parent.name == service for path in found)


def _is_service(name: str) -> bool:
    return any(folder.name == name for folder in _described())


def _described() -> Iterator[Path]:
    spec = find_spec("botocore")
    for location in (spec and spec.submodule_search_locations) or ():
        yield from (folder for folder in Path(location, "data").iterdir() if folder.is_dir())


def _is_allowed(template: Path, service: str) -> bool:
    """Return whether the template allows anything of a service, such as `sqs:SendMessage`."""
    prefix = "bedrock" if service == "bedrock-runtime" else service
    action = re.compile(rf"(?<![\w-]){re.escape(prefix)}:[A-Z*]")
    lines = template.read_text(encoding="utf-8").splitlines()
    return any(action.search(line) for line in lines if not line.lstrip().startswith("#"))
