"""`agentrun deploy`: asks once, checks, builds, deploys, and says where the stack is."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agentrun_local.check.command import CheckOptions, run_check
from agentrun_local.deploy.answers import answers_file, read_answers, write_parameters
from agentrun_local.deploy.questions import Ask, logging_answer, missing_answers, warn_of_issuer
from agentrun_local.doctor.account import Account, NotLookedAtError, NotThereError
from agentrun_local.doctor.deployment import Deployment, DoctorOptions, read_deployment
from agentrun_local.errors import LocalStackError
from agentrun_local.template.parameters import check_values
from agentrun_project.build import LOCKS

_SHOWN = {"RestApiBaseUrl": "REST API", "FunctionUrlBase": "Function URL"}


@dataclass(frozen=True)
class DeployOptions:
    """The command's options; `is_built` means that what was built before is deployed."""

    template: Path
    config_env: str = "default"
    region: str | None = None
    profile: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    is_built: bool = False


Run = Callable[[Sequence[str], Path, Mapping[str, str]], int]
"""Runs a command in a folder with variables added to its environment; returns its status."""


def run_deploy(options: DeployOptions, ask: Ask | None, run: Run | None = None) -> int:
    """
    Deploy a project; what is asked for is kept beside the template, where git ignores it.

    Args:
        options: What to deploy, and where.
        ask: Asks the user for a value; None if there is nobody to ask.
        run: Runs a command; by default as a process of its own, in this terminal.

    Returns:
        The exit status: that of the first step that failed, of which the first is `agentrun check`.

    Raises:
        LocalStackError: A file is missing or broken, or a parameter is.
    """
    run = run or _run
    deployment = _deployment(options, ask)
    if not deployment.stack_name:
        raise LocalStackError("samconfig.toml names no stack; [default.deploy.parameters] does.")
    if not options.is_built and run_check(
        CheckOptions(options.template, LOCKS, options.config_env)
    ):
        return 1
    for step in _steps(options, deployment):
        status = run(step, options.template.parent, _environment(deployment))
        if status:
            return status
    _tell(deployment)
    return 0


def _deployment(options: DeployOptions, ask: Ask | None) -> Deployment:
    """Read what is known, ask for the rest, and keep the answers."""
    kept = answers_file(options.template, options.config_env)
    answers = {**read_answers(kept), **options.parameters}
    deployment = _read(options, answers)
    check_values(deployment.definitions, _declared(deployment))
    asked = missing_answers(deployment, ask, print)
    if asked:
        warn_of_issuer(deployment, asked, print)
    account = Account(region=deployment.region, profile=deployment.profile)
    answers |= asked | logging_answer(deployment, account, print)
    write_parameters(kept, answers)
    if asked:
        print(f"Kept for the next time in {kept}, which git ignores.")
    return _read(options, answers)


def _read(options: DeployOptions, answers: Mapping[str, str]) -> Deployment:
    return read_deployment(
        DoctorOptions(
            options.template, options.config_env, options.region, options.profile, answers
        )
    )


def _declared(deployment: Deployment) -> Mapping[str, str]:
    if unknown := sorted(set(deployment.given) - set(deployment.definitions)):
        raise LocalStackError(f"The template has no parameter {', '.join(unknown)}.")
    return deployment.given


def _steps(options: DeployOptions, deployment: Deployment) -> list[list[str]]:
    """Return the commands, in order."""
    # All parameters in one file: SAM takes either these or those of samconfig.toml.
    parameters = answers_file(options.template, options.config_env).with_suffix(".all.yaml")
    write_parameters(parameters, deployment.given)
    sam = [sys.executable, "-m", "samcli"]
    where = [
        word
        for name, value in (("--region", options.region), ("--profile", options.profile))
        if value
        for word in (name, value)
    ]
    deploy = [
        *(*sam, "deploy", "--config-env", options.config_env, *where),
        *("--parameter-overrides", f"file://{parameters}"),
    ]
    return [deploy] if options.is_built else [[*sam, "build"], deploy]


def _environment(deployment: Deployment) -> dict[str, str]:
    # The Makefiles build for the processor that the template's functions will have.
    return {"ARCH": deployment.value("Architecture"), "SAM_CLI_TELEMETRY": "0"}


def _run(command: Sequence[str], folder: Path, variables: Mapping[str, str]) -> int:
    environment = {**os.environ, **variables}
    return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


def _tell(deployment: Deployment) -> None:
    """Print the base URLs, and how to try them."""
    account = Account(region=deployment.region, profile=deployment.profile)
    name = deployment.stack_name
    try:
        (stack,) = account.ask("cloudformation", "describe_stacks", StackName=name)["Stacks"]
    except (NotLookedAtError, NotThereError) as error:
        print(f"Deployed, but the outputs of {name} cannot be read: {error}.")
        return
    outputs = {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])}
    lines = (f"  {title:<14}{outputs[key]}" for key, title in _SHOWN.items() if key in outputs)
    print("\n".join(["", f"{name} is deployed.", "", *lines]))
    print(f"\nTry it with a token of your issuer: make smoke STACK={name} TOKEN=…")
