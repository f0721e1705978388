"""What was answered once, so that no later deployment asks again; git ignores the file."""

import json
from collections.abc import Mapping
from pathlib import Path

import yaml

from agentrun_local.errors import LocalStackError


def answers_file(template: Path, config_env: str) -> Path:
    """Return where the answers for an environment of `samconfig.toml` are kept."""
    return template.resolve().parent / ".agentrun" / f"deploy-{config_env}.yaml"


def read_answers(path: Path) -> dict[str, str]:
    """
    Return parameters by their names; none if nothing was answered yet.

    Raises:
        LocalStackError: The file is broken.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise LocalStackError(f"{path} cannot be read; mend or delete it. {error}") from error
    if not isinstance(found, dict):
        raise LocalStackError(f"{path} has no parameters in it; mend or delete it.")
    return {str(name): str(value) for name, value in found.items()}


def write_parameters(path: Path, parameters: Mapping[str, str]) -> None:
    """
    Write parameters as SAM reads them by `file://`, for the owner's eyes.

    Raises:
        LocalStackError: The file cannot be written.
    """
    # A text of JSON is one of YAML, whatever is in it.
    lines = (f"{name}: {json.dumps(value)}\n" for name, value in sorted(parameters.items()))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise LocalStackError(f"Cannot write {path}: {error.strerror}.") from error
