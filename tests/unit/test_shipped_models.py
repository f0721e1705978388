"""The models that this project names: current, known to the library, and with a price."""

import re
from datetime import UTC, datetime

import pytest

# The package's own list, by which it warns; its public names do not include it.
from anthropic._data import DEPRECATED_MODELS
from genai_prices import Usage, calc_price
from pydantic_ai.models import known_model_names

from agent_catalog.agent_file import AgentFile
from agent_catalog.catalog import load_catalog
from agentrun_local.template.cloudformation import parameter_value
from tests.documented import PAGES, ROOT

_NAMED = re.compile(r"\b(?:bedrock|anthropic):[a-z0-9.-]+\d(?:-v\d+(?::\d+)?)?")
_VERSION = re.compile(r"-v\d+(:\d+)?$")


def default_model() -> str:
    """Return the model of the template's parameter `Model`."""
    return parameter_value(ROOT / "template.yaml", {}, "Model")


def models_of(file: AgentFile) -> set[str]:
    return {model for model in (file.model, file.followup_model, *file.models) if model}


def named_models() -> list[str]:
    """Return the template's default, the shipped agents' models, and what the pages show."""
    catalog = load_catalog("demo")
    files = [catalog.definition(agent.id).file for agent in catalog.agents()]
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    texts += [path.read_text(encoding="utf-8") for path in sorted((ROOT / "events").glob("*.json"))]
    shown = {name for text in texts for name in _NAMED.findall(text)}
    return sorted({default_model(), *shown}.union(*map(models_of, files)) - {"demo"})


def retirement_of(model_id: str) -> str | None:
    """Return when Anthropic retires a model, as its package writes it; None: nothing announced."""
    name = model_id.partition(":")[2].rpartition("anthropic.")[2]
    return DEPRECATED_MODELS.get(_VERSION.sub("", name))


@pytest.mark.parametrize("model_id", named_models())
def test_no_model_that_is_named_here_is_deprecated(model_id: str) -> None:
    assert retirement_of(model_id) is None
    kind, _, name = model_id.partition(":")
    provider = {"bedrock": "aws"}.get(kind, kind)
    price = calc_price(Usage(input_tokens=1), name, provider_id=provider)
    assert not price.model.deprecated


def test_the_list_of_deprecated_models_is_read_by_bedrocks_names() -> None:
    deprecated = next(iter(DEPRECATED_MODELS))
    for name in (f"anthropic:{deprecated}", f"bedrock:eu.anthropic.{deprecated}-v1:0"):
        assert retirement_of(name) == DEPRECATED_MODELS[deprecated]


def test_the_default_model_is_known_and_has_a_price() -> None:
    assert default_model() in known_model_names()
    name = default_model().partition(":")[2]
    price = calc_price(
        Usage(input_tokens=1_000_000, output_tokens=1_000_000),
        name,
        provider_id="aws",
        genai_request_timestamp=datetime.now(UTC),
    )
    assert price.total_price > 0
