"""For which models a run's cost can be limited."""

import pytest

from agent_catalog.models.prices import ModelPrices


@pytest.mark.parametrize(
    "model_id",
    [
        "demo",
        "test",
        "bedrock:us.amazon.nova-2-lite-v1:0",
        "bedrock:us.anthropic.claude-haiku-4-5-20251001-v1:0",
        "anthropic:claude-sonnet-4-5",
        "openai:gpt-5-mini",
        "openai-responses:gpt-5",
        "gateway/openai:gpt-5-mini",
    ],
)
def test_models_that_are_sold_by_name_have_a_price(model_id: str) -> None:
    assert ModelPrices().knows(model_id)


@pytest.mark.parametrize(
    "model_id",
    [
        "bedrock:amazon.nova-2-lite-v1:0",
        "bedrock:arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc",
        "openai:llama3.2",
        "nobody:gpt-5",
        "gpt-5",
        "openai:",
    ],
)
def test_a_name_that_does_not_tell_the_model_has_none(model_id: str) -> None:
    assert not ModelPrices().knows(model_id)


def test_another_servers_models_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    assert not ModelPrices().knows("openai:gpt-5-mini")
