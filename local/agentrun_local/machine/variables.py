"""Environment variables that functions get from this machine: from files, and for real models."""

import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import boto3
from dotenv.parser import Binding, parse_stream

from agentrun_local.errors import LocalStackError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# With other values of these, a function would not start, or not find its table.
_RESERVED = re.compile(
    r"AWS_LAMBDA_.*|LAMBDA_(TASK_ROOT|RUNTIME_DIR)|_HANDLER|_X_AMZN_TRACE_ID|(PYTHON)?PATH"
    r"|AWS_ENDPOINT_URL_(DYNAMODB|S3|SQS)"
)


class EnvFileError(LocalStackError):
    """A file of variables cannot be read; the message quotes only reserved names from it."""


def read_env_files(paths: Sequence[Path]) -> dict[str, str]:
    """
    Read files of `NAME=VALUE` lines as python-dotenv does; later ones win.

    Comments, `export`, quotes and quoted values of several lines work. `${NAME}` in a value is not
    expanded.

    Raises:
        EnvFileError: A file is missing or not UTF-8, or a line is not an assignment; names file and
            line.
    """
    return {name: value for path in paths for name, value in _assignments(path)}


def _assignments(path: Path) -> Iterator[tuple[str, str]]:
    # As when a file is read as text, every line ends in a line feed.
    for binding in parse_stream(io.StringIO(_text(path), newline=None)):
        if binding.error or binding.key is not None:
            yield _assignment(binding, f"{path}, line {_line(binding)}")


def _assignment(binding: Binding, place: str) -> tuple[str, str]:
    # Never quote the line: it may be a secret without a name.
    name, value = binding.key, binding.value
    if name is None or value is None:
        raise EnvFileError(f"{place}: is not NAME=VALUE.")
    if not _NAME.fullmatch(name):
        raise EnvFileError(
            f"{place}: a variable's name consists of letters, digits and _, a digit not first."
        )
    if _RESERVED.fullmatch(name):
        raise EnvFileError(f"{place}: {name} is set by the local stack itself; remove the line.")
    if "\0" in value:
        raise EnvFileError(f"{place}: the value holds a NUL character.")
    return name, value


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise EnvFileError(f"Cannot read {path}: {error.strerror}.") from error
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise EnvFileError(f"{path}, line {line}: is not UTF-8.") from None


def _line(binding: Binding) -> int:
    """Return the line of an assignment; the parser includes the blank lines before it."""
    text = binding.original.string
    blank = text[: len(text) - len(text.lstrip())]
    return binding.original.line + blank.count("\n")


_PASSED_ON = {
    "anthropic": ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY", "AGENTRUN_MODEL_IDLE_TIMEOUT_S"),
    "bedrock": ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AGENTRUN_MODEL_IDLE_TIMEOUT_S"),
    "openai": ("OPENAI_BASE_URL", "OPENAI_API_KEY", "AGENTRUN_MODEL_IDLE_TIMEOUT_S"),
    "ollama": ("OLLAMA_BASE_URL", "OLLAMA_API_KEY", "AGENTRUN_MODEL_IDLE_TIMEOUT_S"),
}


def model_environment(model: str, given: Mapping[str, str]) -> dict[str, str]:
    """
    Return the variables that a function needs to call the model; none for the demo model.

    For a Bedrock model these are the developer's credentials and region, resolved once, unless
    `given`, which the functions also get, has credentials. DynamoDB stays local: it has its own
    endpoint. For some other providers it is their URL and key; `given` has to have the rest.

    Raises:
        LocalStackError: There are no AWS credentials or no region.
    """
    provider = model.partition(":")[0]
    names = _PASSED_ON.get(provider, ())
    passed_on = {name: value for name in names if (value := os.environ.get(name))}
    if provider != "bedrock":
        return passed_on
    session = boto3.Session()
    region = given.get("AWS_DEFAULT_REGION") or given.get("AWS_REGION") or session.region_name
    # Never mix the two: a key and its secret belong together.
    credentials = {} if "AWS_ACCESS_KEY_ID" in given else _credentials(session)
    if credentials is None or region is None:
        raise LocalStackError(
            f"The model {model} needs AWS credentials and a region; sign in, or use --model demo."
        )
    return {**passed_on, **credentials, "AWS_REGION": region, "AWS_DEFAULT_REGION": region}


def _credentials(session: boto3.Session) -> dict[str, str] | None:
    credentials = session.get_credentials()
    if credentials is None:
        return None
    frozen = credentials.get_frozen_credentials()
    found = {
        "AWS_ACCESS_KEY_ID": frozen.access_key,
        "AWS_SECRET_ACCESS_KEY": frozen.secret_key,
        "AWS_SESSION_TOKEN": frozen.token,
    }
    return {name: value for name, value in found.items() if value}
