"""A function's process is started as Lambda starts it."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agentrun_local.errors import LocalStackError
from agentrun_local.functions.runtime_process import runtime_command, runtime_environment
from agentrun_local.machine.variables import model_environment
from agentrun_local.template.resources import Function

FUNCTION = Function(
    name="StatusFunction",
    handler="app.handler",
    runtime="python3.13",
    code_dir=Path("/code/status"),
    layer_dirs=(Path("/layers/core"), Path("/layers/agents")),
    timeout_s=15,
    memory_mb=512,
    environment={"AGENTRUN_TABLE": "t", "TZ": "Europe/Berlin"},
    json_logs=True,
    concurrency=1,
)


def environment_of(function: Function, **extra: str) -> dict[str, str]:
    return runtime_environment(function, runtime_api="127.0.0.1:1", extra=extra)


def test_awslambdaric_runs_the_handler() -> None:
    assert runtime_command(FUNCTION) == [sys.executable, "-m", "awslambdaric", "app.handler"]


def test_an_exec_wrapper_gets_the_interpreter_and_its_arguments(tmp_path: Path) -> None:
    wrapper = tmp_path / "bootstrap"
    wrapper.touch()
    function = replace(
        FUNCTION,
        layer_dirs=(Path("/none"), tmp_path),
        environment={"AWS_LAMBDA_EXEC_WRAPPER": "/opt/bootstrap"},
    )
    assert runtime_command(function) == [wrapper, *runtime_command(FUNCTION)]


def test_the_log_tells_its_developer_everything_unless_the_template_says_otherwise() -> None:
    assert environment_of(FUNCTION)["AGENTRUN_LOG_CAUSES"] == "full"
    safe = replace(FUNCTION, environment={"AGENTRUN_LOG_CAUSES": "safe"})
    assert environment_of(safe)["AGENTRUN_LOG_CAUSES"] == "safe"


def test_the_environment_is_lambdas_and_the_templates() -> None:
    environment = environment_of(FUNCTION, AWS_ENDPOINT_URL_DYNAMODB="http://127.0.0.1:2")
    expected = {
        "_HANDLER": "app.handler",
        "AGENTRUN_TABLE": "t",
        "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:2",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_FUNCTION_NAME": "StatusFunction",
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
        "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1",
        "AWS_REGION": "eu-west-1",
        "LAMBDA_TASK_ROOT": "/code/status",
        "PYTHONPATH": "/code/status:/layers/core:/layers/agents",
        "TZ": "Europe/Berlin",
    }
    assert {name: environment.get(name) for name in expected} == expected
    assert "AWS_LAMBDA_MAX_CONCURRENCY" not in environment


def test_several_invocations_at_once_are_announced() -> None:
    environment = environment_of(replace(FUNCTION, concurrency=64))
    assert environment["AWS_LAMBDA_MAX_CONCURRENCY"] == "64"


def test_nothing_of_the_developers_own_reaches_a_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "production")
    monkeypatch.setenv("HOME", "/home/me")
    environment = environment_of(FUNCTION)
    assert not {"AWS_PROFILE", "HOME"} & set(environment)
    assert environment["AWS_ACCESS_KEY_ID"] == "local"
    assert environment["AWS_CONFIG_FILE"] == environment["AWS_SHARED_CREDENTIALS_FILE"]


def test_the_demo_model_needs_no_credentials() -> None:
    assert model_environment("demo", {}) == {}


def test_a_bedrock_model_gets_the_developers_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    environment = environment_of(FUNCTION, **model_environment("bedrock:some-model", {}))
    assert environment["AWS_ACCESS_KEY_ID"] == "mine"
    assert environment["AWS_REGION"] == environment["AWS_DEFAULT_REGION"] == "us-east-1"


def test_credentials_that_are_given_are_not_mixed_with_the_developers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "mine")
    given = {"AWS_ACCESS_KEY_ID": "given", "AWS_REGION": "us-west-2"}
    assert model_environment("bedrock:some-model", given) == {
        "AWS_REGION": "us-west-2",
        "AWS_DEFAULT_REGION": "us-west-2",
    }


def test_a_bedrock_model_without_credentials_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(LocalStackError, match="needs AWS credentials"):
        model_environment("bedrock:some-model", {})


def test_an_openai_compatible_model_is_told_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.delenv("AGENTRUN_MODEL_IDLE_TIMEOUT_S", raising=False)
    assert model_environment("openai:llama3", {}) == {
        "OPENAI_BASE_URL": "http://127.0.0.1:11434/v1",
        "OPENAI_API_KEY": "none",
    }
