"""Where variables come from that may be secret."""

import json
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws
from pydantic_ai import RunContext, ToolFailed
from pydantic_ai.models.test import TestModel
from pydantic_ai.usage import RunUsage

from agent_catalog import secret_variables as module
from agent_catalog.binding.tool import bind_tool
from agent_catalog.secret_variables import (
    MissingVariableError,
    SecretsUnavailableError,
    async_variable,
    secret_variables,
    variable,
)
from agent_catalog.toolkit import Session

SECRET = "hunter2-hunter2"
pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _aws() -> Iterator[None]:
    module._provider.cache_clear()
    with mock_aws():
        yield
    module._provider.cache_clear()


def named(content: str | bytes) -> str:
    """Store a secret; gives its ARN."""
    client = boto3.client("secretsmanager")
    if isinstance(content, bytes):
        return client.create_secret(Name="agents", SecretBinary=content)["ARN"]
    return client.create_secret(Name="agents", SecretString=content)["ARN"]


async def test_without_a_secret_the_environment_is_all() -> None:
    for environment in ({"TOKEN": "t"}, {"TOKEN": "t", "AGENTRUN_SECRETS_ARN": ""}):
        assert (await secret_variables(environment))["TOKEN"] == "t"


async def test_a_secrets_variables_come_before_the_environments() -> None:
    arn = named(json.dumps({"TOKEN": SECRET}))
    found = await secret_variables({"AGENTRUN_SECRETS_ARN": arn, "TOKEN": "t", "OTHER": "o"})
    assert (found["TOKEN"], found["OTHER"]) == (SECRET, "o")


async def test_a_tool_gets_a_variable_by_its_name_from_either_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOKEN", "t")
    monkeypatch.setenv("OTHER", "o")
    assert (variable("TOKEN"), await async_variable("TOKEN")) == ("t", "t")
    monkeypatch.setenv("AGENTRUN_SECRETS_ARN", named(json.dumps({"TOKEN": SECRET})))
    assert (variable("TOKEN"), await async_variable("TOKEN")) == (SECRET, SECRET)
    assert (variable("OTHER"), await async_variable("OTHER")) == ("o", "o")


@pytest.mark.parametrize("value", [None, ""])
async def test_a_variable_that_is_not_set_is_named(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("TOKEN", raising=False)
    if value is not None:
        monkeypatch.setenv("TOKEN", value)
    with pytest.raises(MissingVariableError, match="The variable TOKEN is not set"):
        variable("TOKEN")
    with pytest.raises(MissingVariableError, match="The variable TOKEN is not set"):
        await async_variable("TOKEN")


async def test_a_tool_that_lacks_its_variable_fails_and_the_log_names_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("TOKEN", raising=False)
    tool = bind_tool(f"{__name__}:sample_tool", needs_approval=False, timeout_s=None)
    session = Session(tenant="acme", user_id="ana", session_id="s")
    context = RunContext(deps=session, model=TestModel(), usage=RunUsage())
    with pytest.raises(ToolFailed, match=r"^The tool has failed\.$"):
        await tool.function(context)
    assert "The tool sample_tool failed: The variable TOKEN is not set" in caplog.text


def sample_tool() -> str:
    """Ask for a variable."""
    return variable("TOKEN")


async def test_a_secret_is_read_once_in_five_minutes() -> None:
    arn = named(json.dumps({"TOKEN": SECRET}))
    for _ in range(2):
        assert (await secret_variables({"AGENTRUN_SECRETS_ARN": arn}))["TOKEN"] == SECRET
        boto3.client("secretsmanager").put_secret_value(
            SecretId=arn, SecretString='{"TOKEN":"new"}'
        )
    module._provider.cache_clear()
    assert (await secret_variables({"AGENTRUN_SECRETS_ARN": arn}))["TOKEN"] == "new"
    assert module.MAX_AGE_S == 300


@pytest.mark.parametrize(
    "content", [SECRET, f'["{SECRET}"]', f'{{"TOKEN": ["{SECRET}"]}}', b"\xff"]
)
async def test_a_secret_of_another_form_is_refused_without_quoting_it(
    content: str | bytes,
) -> None:
    arn = named(content)
    with pytest.raises(SecretsUnavailableError, match="is not a JSON object of texts") as raised:
        await secret_variables({"AGENTRUN_SECRETS_ARN": arn})
    assert raised.value.__cause__ is None
    assert SECRET not in str(raised.value)


async def test_a_secret_that_cannot_be_read_is_refused() -> None:
    missing = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:none-abcdef"
    with pytest.raises(SecretsUnavailableError, match="cannot be read"):
        await secret_variables({"AGENTRUN_SECRETS_ARN": missing})
