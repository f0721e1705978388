"""Which model an id names, and what is loaded for it."""

import sys

import pytest
from pydantic_ai.models.bedrock import BedrockConverseModel

from agent_catalog.models.factory import create_model
from agent_catalog.models.guarded import GuardedModel
from agentrun.domain.errors import EngineError

HAIKU = "bedrock:us.anthropic.claude-haiku-4-5-20251001-v1:0"


@pytest.mark.parametrize(("setting", "read_timeout_s"), [("", 125.0), ("7.5", 12.5)])
def test_bedrock_has_time_outs_and_needs_no_credentials_to_be_built(
    monkeypatch: pytest.MonkeyPatch, setting: str, read_timeout_s: float
) -> None:
    monkeypatch.setenv("AGENTRUN_MODEL_IDLE_TIMEOUT_S", setting)
    model = create_model(HAIKU)
    assert isinstance(model, GuardedModel)
    assert isinstance(model.wrapped, BedrockConverseModel)
    config = model.wrapped.client.meta.config
    # A socket is given up 5 s after the guard has given up the model.
    assert (config.connect_timeout, config.read_timeout) == (3.0, read_timeout_s)
    assert config.max_pool_connections == 64


@pytest.mark.parametrize("value", ["0", "-1", "soon", "nan", "inf"])
def test_a_time_out_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("AGENTRUN_MODEL_IDLE_TIMEOUT_S", value)
    with pytest.raises(EngineError, match="is not set up here") as caught:
        create_model(HAIKU)
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_provider_whose_package_is_missing_is_not_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if "openai" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "openai", None)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    with pytest.raises(EngineError, match="is not set up here") as caught:
        create_model("openai:llama3.2")
    assert isinstance(caught.value.__cause__, ImportError)
