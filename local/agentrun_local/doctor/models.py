"""Checks of every model that the deployment may call: the parameter's and the agents'."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from agent_catalog.agent_file import AgentFile
from agent_catalog.catalog import CatalogError, load_catalog
from agent_catalog.foreign.endpoint import Endpoint
from agentrun_local.doctor.account import Account
from agentrun_local.doctor.bedrock_models import ANTHROPIC, ModelChecks, anthropics_form
from agentrun_local.doctor.deployment import WITHOUT_PROVIDER, Deployment
from agentrun_local.doctor.findings import Finding, not_looked_at, ok, problem, warning
from agentrun_local.template.cloudformation import declared_variables
from agentrun_project.placement import agents_folder, importing_from


def check_models(account: Account, deployment: Deployment) -> Iterator[Finding]:
    """Yield findings on the agents' files, then on each model that they name."""
    default = deployment.value("Model")
    folder = agents_folder(deployment.template.parent)
    faults: list[str] = []
    try:
        files = _files(default, folder, faults)
    except CatalogError as error:
        yield problem("agents", str(error), "Mend the parameter Model.")
        return
    models = _models(default, files.values())
    for fault in faults:
        yield problem("agents", fault, "Mend the file; its agent cannot be run.")
    yield ok("agents", f"models: {', '.join(models) or 'none'}")
    checks = ModelChecks(account)
    bedrock = [name.partition(":")[2] for name in models if name.startswith("bedrock:")]
    for name in bedrock:
        yield from checks.findings(name)
    # An application inference profile does not name its model, and AWS may not have answered.
    if checks.anthropic or any(ANTHROPIC in name for name in bedrock):
        yield anthropics_form(account, locked=bool(checks.locked))
    for name in models:
        if name not in WITHOUT_PROVIDER and not name.startswith("bedrock:"):
            yield _of_other_provider(name, deployment)
    for agent_id, file in files.items():
        if file.endpoint is not None:
            yield _of_endpoint(agent_id, file.endpoint, deployment)


def _files(default: str, folder: Path, faults: list[str]) -> Mapping[str, AgentFile]:
    """Return the agents' files by their ids, also those of inactive agents."""
    with importing_from(folder.parent):
        catalog = load_catalog(default, folder, on_fault=faults.append)
    return {
        agent.id: catalog.definition(agent.id).file
        for agent in catalog.agents()
        if agent.fault is None
    }


def _models(default: str, files: Iterable[AgentFile]) -> Mapping[str, None]:
    """Return the models' ids, each once."""
    named: dict[str, None] = {default: None}
    for file in files:
        # A graph and an endpoint have none; their answers' follow-ups do.
        named |= dict.fromkeys(filter(None, (file.model, *file.models, file.followup_model)))
    return named


def _of_endpoint(agent_id: str, endpoint: Endpoint, deployment: Deployment) -> Finding:
    check, key = "endpoint", endpoint.secret
    is_set = not key or deployment.value("SecretsArn")
    if not is_set and key not in declared_variables(deployment.template):
        return warning(
            check,
            f"{agent_id}: SecretsArn is empty, so nothing sets its key {key}",
            "See docs/deploy.md, Secrets.",
        )
    return not_looked_at(check, f"{agent_id}: its service is not asked", "Try it: make dev.")


def _of_other_provider(name: str, deployment: Deployment) -> Finding:
    if not deployment.has_other_providers:
        return problem(
            "model",
            f"{name}: no layer has its provider's client",
            "Deploy with OtherProviders=true.",
        )
    if not deployment.value("SecretsArn"):
        return warning(
            "model",
            f"{name}: SecretsArn is empty, so there is no key for it",
            "See docs/deploy.md.",
        )
    return not_looked_at("model", f"{name}: its provider is not asked", "Try it: make dev.")
