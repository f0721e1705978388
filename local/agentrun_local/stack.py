"""The running stack: what stands for AWS's services, and the functions."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agent_catalog.agent_file import MODEL_ID_PATTERN
from agentrun_local.console import Console
from agentrun_local.errors import LocalStackError
from agentrun_local.functions.invocation import FunctionError
from agentrun_local.functions.pool import FunctionPool
from agentrun_local.functions.processes import ProcessSupervisor
from agentrun_local.machine.dynamodb import create_tables, start_moto_server
from agentrun_local.machine.identity import AUDIENCE, CLAIMS, ISSUER, DevIdentity
from agentrun_local.machine.queues_and_buckets import create_buckets, create_queues
from agentrun_local.machine.variables import model_environment
from agentrun_local.machine.webhook_secret import WEBHOOK_SECRET_ARN, webhook_variables
from agentrun_local.template.cloudformation import FUNCTION_URL, REGION, declared_parameters
from agentrun_local.template.resources import Stack, read_stack


@dataclass(frozen=True)
class StackOptions:
    """
    What the developer chooses.

    `parameters` replace those that the stack sets itself. `variables` are added to every function's
    environment, and replace the template's; they may be secret. `persists` keeps what moto
    holds for the next start.
    """

    template: Path
    model: str
    dynamodb_url: str | None
    parameters: Mapping[str, str]
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    persists: bool = False

    @property
    def state_folder(self) -> Path:
        """Where the dev key pair lives, beside the template."""
        return self.template.resolve().parent / ".agentrun"

    @property
    def state(self) -> Path | None:
        """The file that keeps runs, messages and objects for the next start, if one is to."""
        return self.state_folder / "state.sqlite3" if self.persists else None


@dataclass(frozen=True)
class RunningStack:
    """
    Functions ready to be invoked, and the services that they use.

    `queues_url` is where queues and buckets are; the same as the tables', if not told otherwise.
    """

    definition: Stack
    pools: Mapping[str, FunctionPool]
    dynamodb_url: str
    queues_url: str
    region: str
    identity: DevIdentity
    supervisor: ProcessSupervisor

    async def stop(self) -> None:
        """End the functions' processes; invocations in flight fail."""
        await asyncio.gather(*(pool.stop() for pool in self.pools.values()))


@asynccontextmanager
async def running_stack(
    options: StackOptions, console: Console, *, function_url: str = FUNCTION_URL
) -> AsyncIterator[RunningStack]:
    """
    Run DynamoDB and prepare the functions; everything ends with the context.

    Args:
        options: What the developer chooses.
        console: Where all of them write their logs.
        function_url: The base URL at which the Function URL is served, if it is.

    Raises:
        LocalStackError: The template is broken, DynamoDB does not answer, or the model has no
            credentials.
    """
    identity = DevIdentity(options.state_folder)
    async with AsyncExitStack() as cleanup:
        supervisor = await cleanup.enter_async_context(ProcessSupervisor())
        # Each takes about a second; one is another process, the other a thread.
        starting = asyncio.ensure_future(_dynamodb(options, supervisor, console))
        try:
            definition = await asyncio.to_thread(
                read_stack,
                options.template,
                stack_parameters(options, identity),
                function_url=function_url,
            )
        finally:
            await asyncio.wait((starting,))
        url = starting.result()
        queues_url = url
        if options.dynamodb_url and (definition.queues or definition.buckets):
            log = console.source("queues")
            queues_url = await start_moto_server(supervisor, log, state=options.state)
        extra = await asyncio.to_thread(_prepare, options, definition, url, queues_url)
        pools = {
            name: FunctionPool(
                function, supervisor=supervisor, extra_environment=extra, log=console.source(name)
            )
            for name, function in definition.functions.items()
        }
        region = _region(extra)
        stack = RunningStack(definition, pools, url, queues_url, region, identity, supervisor)
        cleanup.push_async_callback(stack.stop)
        yield stack


def _prepare(
    options: StackOptions, definition: Stack, dynamodb_url: str, queues_url: str
) -> dict[str, str]:
    environment = {
        **model_environment(options.model, options.variables),
        **webhook_variables(options.state_folder),
        **options.variables,
        "AWS_ENDPOINT_URL_DYNAMODB": dynamodb_url,
        "AWS_ENDPOINT_URL_S3": queues_url,
        "AWS_ENDPOINT_URL_SQS": queues_url,
    }
    region = _region(environment)
    create_tables(dynamodb_url, definition.tables, region=region)
    create_queues(queues_url, definition.queues.values(), region=region)
    create_buckets(queues_url, definition.buckets, region=region)
    return environment


def _region(environment: Mapping[str, str]) -> str:
    """
    Return the region of the tables, queues and buckets.

    Stand-ins keep them by region, and the developer may have set one. boto3 reads this variable,
    not AWS_REGION.
    """
    return environment.get("AWS_DEFAULT_REGION", REGION)


async def start_functions(stack: RunningStack) -> None:
    """
    Start one process of every function.

    Raises:
        LocalStackError: One does not start; its log says why.
    """
    outcomes = await asyncio.gather(
        *(pool.start() for pool in stack.pools.values()), return_exceptions=True
    )
    for name, outcome in zip(stack.pools, outcomes, strict=True):
        if isinstance(outcome, FunctionError):
            raise LocalStackError(f"{name} does not start. {outcome}") from outcome
        if isinstance(outcome, BaseException):
            raise outcome


async def _dynamodb(options: StackOptions, supervisor: ProcessSupervisor, console: Console) -> str:
    if options.dynamodb_url:
        return options.dynamodb_url
    return await start_moto_server(supervisor, console.source("dynamodb"), state=options.state)


def stack_parameters(options: StackOptions, identity: DevIdentity) -> dict[str, str]:
    """Return the template's parameters: the developer's, and for the rest this stack's own."""
    if not re.match(MODEL_ID_PATTERN, options.model):
        raise LocalStackError(
            f"The model '{options.model}' is neither demo nor <provider>:<name>, such as"
            " bedrock:<model id>."
        )
    ours = {
        "Model": options.model,
        "Issuer": ISSUER,
        "Audience": AUDIENCE,
        "WebhookSecretArn": WEBHOOK_SECRET_ARN,
    }
    # With an issuer of their own, developers mean its keys and claims; our Jwks would replace them.
    if not {"Issuer", "JwksUrl"} & options.parameters.keys():
        ours |= {"Jwks": identity.jwks, **CLAIMS}
    declared = declared_parameters(options.template)
    return {k: v for k, v in ours.items() if k in declared} | dict(options.parameters)
