"""Checks of every model that the deployment may call: the parameter's and the agents'."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from agent_catalog.catalog import CatalogError, load_catalog
from agentrun_local.doctor.account import Account
from agentrun_local.doctor.bedrock_models import ANTHROPIC, ModelChecks, anthropics_form
from agentrun_local.doctor.deployment import Deployment
from agentrun_local.doctor.findings import Finding, not_looked_at, ok, problem, warning
from agentrun_project.placement import agents_folder, importing_from

_WITHOUT_PROVIDER = frozenset({"demo", "test"})


def check_models(account: Account, deployment: Deployment) -> Iterator[Finding]:
    """Yield findings on the agents' files, then on each model that they name."""
    default = deployment.value("Model")
    folder = agents_folder(deployment.template.parent)
    faults: list[str] = []
    try:
        models = _models(default, folder, faults)
    except CatalogError as error:
        yield problem("agents", str(error), "Mend the parameter Model.")
        return
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
        if name not in _WITHOUT_PROVIDER and not name.startswith("bedrock:"):
            yield _of_other_provider(name, deployment)


def _models(default: str, folder: Path, faults: list[str]) -> Mapping[str, None]:
    """Return the models' ids, each once, also those of inactive agents."""
    with importing_from(folder.parent):
        catalog = load_catalog(default, folder, on_fault=faults.append)
    named: dict[str, None] = {default: None}
    for agent in catalog.agents():
        if agent.fault is not None:
            continue
        file = catalog.definition(agent.id).file
        named |= dict.fromkeys((*agent.models, *filter(None, (file.followup_model,))))
    return named


def _of_other_provider(name: str, deployment: Deployment) -> Finding:
    default = deployment.value("Model")
    has_layer = deployment.value("OtherProviders") == "true" or not (
        default in _WITHOUT_PROVIDER or default.startswith("bedrock:")
    )
    if not has_layer:
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
