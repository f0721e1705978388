"""`agentrun check`: runs every check and prints the faults."""

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agentrun_local.check.agents import check_agents
from agentrun_local.check.faults import Fault, in_order
from agentrun_local.check.parameters import check_parameters
from agentrun_local.check.project import Project
from agentrun_local.check.secrets import check_secrets
from agentrun_local.check.services import check_services
from agentrun_local.check.tools import check_tools, load
from agentrun_local.doctor.deployment import DoctorOptions, read_deployment
from agentrun_local.errors import LocalStackError


@dataclass(frozen=True)
class CheckOptions:
    """The command's options; `locks` is the folder of the layers' hashed requirement files."""

    template: Path
    locks: Path
    config_env: str = "default"
    is_strict: bool = False
    as_json: bool = False


def run_check(options: CheckOptions) -> int:
    """
    Print what is wrong with a project, without AWS and without building anything.

    Returns:
        1 if there is an error, or with `is_strict` a warning; 0 otherwise.

    Raises:
        LocalStackError: There is no project, or its tools cannot be imported at all.
    """
    project = Project.beside(options.template, options.locks)
    faults = in_order(list(_faults(project, options.config_env)))
    if options.as_json:
        print(json.dumps([_as_json(fault, project) for fault in faults], indent=2))
    else:
        print("\n".join([*(fault.told(project.root) for fault in faults), _summary(faults)]))
    fails = any(options.is_strict or not fault.is_warning for fault in faults)
    sys.stdout.flush()
    return int(fails)


def _faults(project: Project, config_env: str) -> Iterator[Fault]:
    yield from check_parameters(project)
    deployment = None
    # Told above, with its place.
    with suppress(LocalStackError):
        deployment = read_deployment(DoctorOptions(project.template, config_env))
    model = deployment.value("Model") if deployment else "demo"
    has_others = deployment is not None and deployment.has_other_providers
    loaded = load(project, has_other_providers=has_others)
    yield from check_agents(project, loaded.in_files, default_model=model)
    yield from check_tools(project, loaded)
    yield from check_services(project)
    yield from check_secrets(project, deployment.given if deployment else {})


def _as_json(fault: Fault, project: Project) -> dict[str, object]:
    return {
        "place": fault.place(project.root),
        "severity": "warning" if fault.is_warning else "error",
        "said": fault.said,
        "remedy": fault.remedy,
    }


def _summary(faults: list[Fault]) -> str:
    if not faults:
        return "Nothing found."
    warnings = sum(fault.is_warning for fault in faults)
    errors = len(faults) - warnings
    return (
        ", ".join(
            f"{count} {name}{'' if count == 1 else 's'}"
            for count, name in ((errors, "error"), (warnings, "warning"))
        )
        + "."
    )
