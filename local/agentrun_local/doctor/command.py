"""`agentrun doctor`: runs every check and prints the findings."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from agentrun_local.doctor.account import Account
from agentrun_local.doctor.deployment import Deployment, DoctorOptions, read_deployment
from agentrun_local.doctor.findings import (
    Finding,
    Verdict,
    not_looked_at,
    ok,
    problem,
    table,
    warning,
)
from agentrun_local.doctor.issuer import check_issuer
from agentrun_local.doctor.limits import concurrency, logging_role
from agentrun_local.doctor.models import check_models
from agentrun_local.doctor.secrets import check_secrets
from agentrun_local.doctor.token import check_token
from agentrun_local.errors import TemplateError
from agentrun_local.template.parameters import check_values
from agentrun_project.build import runtime_python


def run_doctor(options: DoctorOptions) -> int:
    """
    Print what stands in the way of a deployment; change nothing.

    Returns:
        1 if there is a problem; 0 otherwise, even if some checks could not be made.

    Raises:
        LocalStackError: The template or `samconfig.toml` cannot be read.
    """
    deployment = read_deployment(options)
    account = Account(region=deployment.region, profile=deployment.profile)
    findings = list(_findings(account, deployment))
    print(table(findings))
    return int(any(finding.verdict is Verdict.PROBLEM for finding in findings))


def _findings(account: Account, deployment: Deployment) -> Iterator[Finding]:
    yield account.identify()
    yield _parameters(deployment)
    yield from check_models(account, deployment)
    yield concurrency(account, deployment)
    yield logging_role(account, deployment)
    yield from check_issuer(deployment, is_online=account.is_reached)
    yield check_token(deployment)
    yield from check_secrets(account, deployment)
    yield _sam()
    yield _python()


def _parameters(deployment: Deployment) -> Finding:
    check = "parameters"
    given, declared = deployment.given, deployment.definitions
    if unknown := sorted(set(given) - set(declared)):
        return problem(check, f"the template has no {', '.join(unknown)}", "Leave it out.")
    try:
        check_values(declared, given)
    except TemplateError as error:
        return problem(check, str(error), "The deployment would be refused; give another value.")
    if deployment.missing:
        return not_looked_at(
            check,
            f"no value yet for {', '.join(deployment.missing)}",
            "Give it here with --parameter NAME=VALUE; sam deploy --guided asks for it.",
        )
    return ok(check, f"{len(given)} given, as the template allows them")


def _sam() -> Finding:
    check = "SAM CLI"
    try:
        return ok(check, f"{version('aws-sam-cli')}, of this environment")
    except PackageNotFoundError:
        return problem(check, "is not installed here", "pip install aws-sam-cli")


def _python() -> Finding:
    """Look for the interpreter that the build compiles the sources with."""
    check = "Python 3.13"
    if found := runtime_python():
        return ok(check, f"{found} compiles the sources")
    return warning(
        check,
        "there is none: every cold start would take about two seconds longer",
        "Install one, on the PATH or under pyenv, before sam build.",
    )
