"""The parameters without a good default: asked for, checked, and those that AWS can answer."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from agentrun_local.doctor.account import Account, NotLookedAtError
from agentrun_local.doctor.deployment import Deployment
from agentrun_local.doctor.findings import Verdict
from agentrun_local.doctor.issuer import check_issuer
from agentrun_local.errors import LocalStackError, TemplateError
from agentrun_local.template.parameters import check_values

Ask = Callable[[str], str]
Say = Callable[[str], None]
_LOGGING = "ApiGatewayLogging"


def missing_answers(deployment: Deployment, ask: Ask | None, say: Say) -> dict[str, str]:
    """
    Ask for the parameters that have neither a value nor a default, each until its value will do.

    Args:
        deployment: What is known already.
        ask: Shows a question and returns the answer; None if there is nobody to ask.
        say: Shows a line.

    Raises:
        LocalStackError: There is nobody to ask.
    """
    if deployment.missing and ask is None:
        options = " ".join(f"--parameter {name}=…" for name in deployment.missing)
        raise LocalStackError(
            f"No value yet for {' and '.join(deployment.missing)}, and no terminal to ask at: give"
            f" {options}, or put parameter_overrides into samconfig.toml."
        )
    answers: dict[str, str] = {}
    for name in deployment.missing:
        definition = deployment.definitions[name]
        say(f"\n{name}: {definition.get('Description', '')}")
        while name not in answers and ask is not None:
            value = ask(name).strip()
            try:
                check_values({name: definition}, {name: value})
                answers[name] = value
            except TemplateError as error:
                say(str(error))
    return answers


def warn_of_issuer(deployment: Deployment, given: Mapping[str, str], say: Say) -> None:
    """Say what is wrong with the issuer's keys and discovery document; it may be the network."""
    known = replace(deployment, given={**deployment.given, **given})
    for finding in check_issuer(known, is_online=False):
        if finding.verdict is not Verdict.OK:
            say(f"Warning: {finding.check}: {finding.said}. {finding.remedy}".rstrip())


def logging_answer(deployment: Deployment, account: Account, say: Say) -> dict[str, str]:
    """
    Choose `ApiGatewayLogging` where nobody has: an account without a role gets one.

    The template's default would make the first deployment into such an account fail.
    """
    if _LOGGING in deployment.given or _LOGGING not in deployment.definitions:
        return {}
    try:
        if account.ask("apigateway", "get_account").get("cloudwatchRoleArn"):
            return {}
    except NotLookedAtError as error:
        say(f"Warning: whether API Gateway may write logs is not known: {error}.")
        return {}
    say("API Gateway has no role for access logs in this account and region: this stack sets one.")
    return {_LOGGING: "create"}
