"""Checks of the template's parameters, as `samconfig.toml` sets them for each environment."""

import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from agentrun_local.check.faults import Fault, line_of
from agentrun_local.check.project import Project
from agentrun_local.doctor.deployment import DoctorOptions, read_deployment
from agentrun_local.errors import LocalStackError, TemplateError
from agentrun_local.template.cloudformation import parameter_definitions
from agentrun_local.template.parameters import check_values


def check_parameters(project: Project) -> Iterator[Fault]:
    """Yield what CloudFormation would refuse, once for each environment that sets it."""
    try:
        declared = parameter_definitions(project.template)
    except LocalStackError as error:
        yield Fault(project.template, 0, str(error), "Mend the template.")
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
        line = line_of(project.settings, f"{name}=") or line_of(project.settings, name)
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


def _environments(project: Project) -> list[str]:
    try:
        saved = tomllib.loads(project.settings.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    return [name for name, value in saved.items() if isinstance(value, dict)]
