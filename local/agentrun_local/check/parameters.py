"""Checks of the template's parameters, as `samconfig.toml` sets them for each environment."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from agentrun_local.check.faults import Fault
from agentrun_local.check.project import Project
from agentrun_local.doctor.deployment import DoctorOptions, read_deployment
from agentrun_local.errors import LocalStackError, TemplateError
from agentrun_local.template.cloudformation import parameter_definitions
from agentrun_local.template.parameters import check_values

_TABLE = re.compile(r"""\s*\[\s*(?P<name>[\w-]+|"[^"]*"|'[^']*')\s*[.\]]""")


def check_parameters(project: Project) -> Iterator[Fault]:
    """Yield what CloudFormation would refuse, once for each environment that sets it."""
    try:
        declared = parameter_definitions(project.template)
    except LocalStackError as error:
        line = error.line if isinstance(error, TemplateError) else 0
        # Its place says so.
        said = str(error).removeprefix(f"{project.template} ").replace(f"line {line}: ", "", 1)
        yield Fault(project.template, line, said, "Mend the template.")
        return
    try:
        environments = _environments(project)
    except tomllib.TOMLDecodeError as error:
        yield Fault(project.settings, 0, f"is not TOML: {error}", "Mend the file.")
        return
    for environment in environments:
        try:
            given = read_deployment(DoctorOptions(project.template, environment)).given
        except LocalStackError as error:
            yield Fault(project.settings, 0, f"[{environment}] {error}", "Mend the file.")
            continue
        yield from _of_one(project, environment, given, declared)


def _of_one(
    project: Project,
    environment: str,
    given: Mapping[str, str],
    declared: Mapping[str, Mapping[str, Any]],
) -> Iterator[Fault]:
    for name, value in given.items():
        line = _line_of(project.settings, environment, name, value)
        if name not in declared:
            close = get_close_matches(name, declared, n=1)
            remedy = f"Did you mean {close[0]}?" if close else "Leave it out."
            said = f"[{environment}] the template has no parameter {name}"
            yield Fault(project.settings, line, said, remedy)
            continue
        try:
            check_values(declared, {name: value})
        except TemplateError as error:
            said = f"[{environment}] {str(error).rstrip('.')}"
            remedy = f"Set another value; {project.template.name} describes {name}."
            yield Fault(project.settings, line, said, remedy)


def _line_of(settings: Path, environment: str, name: str, value: str) -> int:
    """Return the line in which an environment sets a parameter; 0 if it is not found."""
    lines = _lines_of(settings, environment)
    word = rf"(?<![\w-]){re.escape(name)}"
    # As text and as a table's key; then as `ParameterKey=…`, or in another way.
    for pattern in (
        rf"{word}\s*=\s*[\\\"']*{re.escape(value)}(?![\w-])",
        rf"{word}\s*=",
        rf"{word}\b",
    ):
        for number, line in lines:
            if re.search(pattern, line):
                return number
    return 0


def _lines_of(settings: Path, environment: str) -> list[tuple[int, str]]:
    """Return the lines of an environment's tables, without comments of whole lines."""
    found: list[tuple[int, str]] = []
    # What stands before the first table may have dotted keys of any environment.
    is_inside = True
    for number, line in enumerate(settings.read_text(encoding="utf-8").splitlines(), 1):
        if table := _TABLE.match(line):
            is_inside = table["name"].strip("\"'") == environment
        if is_inside and not line.lstrip().startswith("#"):
            found.append((number, line))
    return found


def _environments(project: Project) -> list[str]:
    try:
        saved = tomllib.loads(project.settings.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    return [name for name, value in saved.items() if isinstance(value, dict)]
