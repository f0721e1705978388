"""The secrets that parameters name: whether they are there."""

from collections.abc import Iterator

from agentrun_local.doctor.account import Account, NotLookedAtError, NotThereError
from agentrun_local.doctor.deployment import Deployment
from agentrun_local.doctor.findings import Finding, not_looked_at, ok, problem

_PARAMETERS = ("SecretsArn", "WebhookSecretArn")


def check_secrets(account: Account, deployment: Deployment) -> Iterator[Finding]:
    """Yield a finding on each secret that a parameter names; nobody reads what is in it."""
    for name in _PARAMETERS:
        arn = deployment.value(name)
        if arn:
            yield _of_one(account, name, arn)


def _of_one(account: Account, name: str, arn: str) -> Finding:
    try:
        found = account.ask("secretsmanager", "describe_secret", SecretId=arn)
    except NotThereError:
        return problem(name, f"there is no secret {arn}", "Create it in the stack's region first.")
    except NotLookedAtError as error:
        return not_looked_at(name, str(error), error.remedy)
    if "DeletedDate" in found:
        return problem(name, f"{found['Name']} is to be deleted", "Restore it, or name another.")
    return ok(name, f"{found['Name']} is there")
