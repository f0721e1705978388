"""How Lambda starts a function's process: the command and the environment."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from agentrun_local.template.cloudformation import REGION
from agentrun_local.template.resources import Function

DUMMY_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}

# Whatever the developer's files and a metadata service say, it is not the function's.
_NOBODYS_SETTINGS = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}

# Nobody but the developer reads this log: it may quote what people and models have said.
_ONE_READER = {"AGENTRUN_LOG_CAUSES": "full"}


def runtime_command(function: Function) -> list[str | Path]:
    """
    Return the command that starts the runtime.

    With an exec wrapper that is the wrapper, and the interpreter with its arguments become the
    wrapper's (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html).

    Raises:
        TemplateError: The exec wrapper is in none of the function's layers.
    """
    command: list[str | Path] = [sys.executable, "-m", "awslambdaric", function.handler]
    wrapper = function.exec_wrapper
    return [wrapper, *command] if wrapper else command


def runtime_environment(
    function: Function, *, runtime_api: str, extra: Mapping[str, str]
) -> dict[str, str]:
    """
    Return the environment of a function's process; nothing of the developer's own is in it.

    Args:
        function: The function, with the template's variables.
        runtime_api: `host:port` of the Runtime API.
        extra: Credentials and endpoints; they win over everything.
    """
    environment = {
        **_lambda_variables(function),
        **_NOBODYS_SETTINGS,
        **DUMMY_CREDENTIALS,
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
    }
    if function.json_logs:
        environment["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
    if function.concurrency > 1:
        environment["AWS_LAMBDA_MAX_CONCURRENCY"] = str(function.concurrency)
    return {**environment, **_ONE_READER, **function.environment, **extra}


def _lambda_variables(function: Function) -> dict[str, str]:
    # https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    folders = [function.code_dir, *function.layer_dirs]
    return {
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.runtime}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "local",
        "AWS_REGION": REGION,
        "LAMBDA_TASK_ROOT": str(function.code_dir),
        "LANG": "en_US.UTF-8",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
        "PYTHONPATH": os.pathsep.join(str(folder) for folder in folders),
        "TZ": ":UTC",
        "_HANDLER": function.handler,
    }
