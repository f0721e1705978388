"""The account's limits: concurrent invocations of Lambda, access logs of API Gateway."""

from agentrun_local.doctor.account import Account, NotLookedAtError, NotThereError
from agentrun_local.doctor.deployment import Deployment
from agentrun_local.doctor.findings import Finding, not_looked_at, ok, problem, warning

_CONCURRENCY = "Lambda concurrency"
_LOGGING = "access logs"
# Lambda developer guide, "Configuring reserved concurrency": the last 100 cannot be reserved.
MUST_STAY_FREE = 100
# The default of accounts ("Lambda quotas"). New ones begin with fewer.
USUAL = 1_000
FEWEST_WORKERS = 2
"""The least that Lambda takes (ScalingConfig of an event source mapping)."""
_RAISE = (
    "Ask for more in Service Quotas, Lambda, Concurrent executions (L-B99A9384); every stream and"
    " every reader holds one for as long as it lasts."
)


def concurrency(account: Account, deployment: Deployment) -> Finding:
    """Compare `StreamConcurrency` and `WorkerConcurrency` with what the account has."""
    try:
        limits = account.ask("lambda", "get_account_settings")["AccountLimit"]
        reserved = _reserved(account, deployment)
    except NotLookedAtError as error:
        return not_looked_at(_CONCURRENCY, str(error), error.remedy)
    most = int(limits.get("ConcurrentExecutions", 0))
    free = int(limits.get("UnreservedConcurrentExecutions", most))
    wanted = int(float(deployment.value("StreamConcurrency") or 0))
    possible = max(free + reserved - MUST_STAY_FREE, 0)
    said = f"{most} invocations at once in the account, {free} of them not reserved"
    if wanted > possible:
        return problem(
            _CONCURRENCY,
            f"StreamConcurrency={wanted} does not leave the {MUST_STAY_FREE} unreserved that Lambda"
            f" insists on: {said}",
            f"Deploy with StreamConcurrency={possible}{'' if possible else ' (no reservation)'}."
            f" {_RAISE}",
        )
    workers = int(float(deployment.value("WorkerConcurrency") or 0))
    left = free + reserved - wanted
    if workers >= left:
        return warning(
            _CONCURRENCY,
            f"WorkerConcurrency={workers} may take all of the {left} that are not reserved: {said}",
            f"Deploy with WorkerConcurrency={max(FEWEST_WORKERS, left // 2)}. {_RAISE}",
        )
    if most < USUAL:
        return warning(_CONCURRENCY, f"{said}; most accounts have {USUAL}", _RAISE)
    return ok(_CONCURRENCY, f"{said}; StreamConcurrency={wanted}")


def _reserved(account: Account, deployment: Deployment) -> int:
    """Return what the stack, if it exists, has reserved already."""
    try:
        function = account.ask(
            "cloudformation",
            "describe_stack_resource",
            StackName=deployment.stack_name or "agentrun",
            LogicalResourceId="StreamFunction",
        )["StackResourceDetail"]["PhysicalResourceId"]
        found = account.ask("lambda", "get_function_concurrency", FunctionName=function)
    except (NotLookedAtError, NotThereError):
        # A stack that does not exist is a ValidationError. Without the permission to look, assume a
        # first deployment: that rather reports a problem too many.
        return 0
    return int(found.get("ReservedConcurrentExecutions", 0))


def logging_role(account: Account, deployment: Deployment) -> Finding:
    """Compare `ApiGatewayLogging` with the account's role for API Gateway."""
    choice = deployment.value("ApiGatewayLogging")
    if choice == "none":
        return ok(_LOGGING, "ApiGatewayLogging=none: none are written, and no role is needed")
    try:
        role = account.ask("apigateway", "get_account").get("cloudwatchRoleArn", "")
    except NotLookedAtError as error:
        return not_looked_at(_LOGGING, str(error), error.remedy)
    if choice == "existing" and not role:
        return problem(
            _LOGGING,
            "API Gateway has no role for CloudWatch Logs in this account and region",
            "Deploy with ApiGatewayLogging=create, or none to do without access logs.",
        )
    stack = deployment.stack_name
    if choice == "create" and role and not (stack and f":role/{stack}-" in role):
        return warning(
            _LOGGING,
            f"ApiGatewayLogging=create would replace {role} for every API of account and region",
            "Deploy with ApiGatewayLogging=existing.",
        )
    return ok(_LOGGING, f"ApiGatewayLogging={choice}; the account's role: {role or 'none yet'}")
