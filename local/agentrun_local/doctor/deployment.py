"""What is to be deployed, and where: the template's parameters and SAM's settings."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentrun_local.errors import LocalStackError
from agentrun_local.template.cloudformation import parameter_definitions

WITHOUT_PROVIDER = frozenset({"demo", "test"})
"""The models that need no provider's client."""
_SAM_SETTINGS = "samconfig.toml"


@dataclass(frozen=True)
class DoctorOptions:
    """The command's options; the rest comes from `samconfig.toml`."""

    template: Path
    config_env: str = "default"
    region: str | None = None
    profile: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Deployment:
    """A deployment: `given` are the parameters' chosen values, `definitions` the template's."""

    template: Path
    stack_name: str
    region: str | None
    profile: str | None
    given: Mapping[str, str]
    definitions: Mapping[str, Mapping[str, Any]]

    def value(self, name: str) -> str:
        """Return a parameter's value; empty if it has none or is not declared."""
        return self.given.get(name, str(self.definitions.get(name, {}).get("Default", "")))

    @property
    def has_other_providers(self) -> bool:
        """Whether the layer with the clients of other providers than Bedrock is attached."""
        model = self.value("Model")
        is_ours = model in WITHOUT_PROVIDER or model.startswith("bedrock:")
        return self.value("OtherProviders") == "true" or not is_ours

    @property
    def missing(self) -> tuple[str, ...]:
        """The parameters that need a value and have none."""
        return tuple(
            name
            for name, definition in self.definitions.items()
            if name not in self.given and "Default" not in definition
        )


def read_deployment(options: DoctorOptions) -> Deployment:
    """
    Read the template, and what `sam deploy` would read from the `samconfig.toml` beside it.

    The command's parameters win over those of the file.

    Raises:
        LocalStackError: A file is missing or broken, or has no such environment.
    """
    saved = _saved_options(options.template.with_name(_SAM_SETTINGS), options.config_env)
    overrides = _overrides(saved.get("parameter_overrides"), options.template.parent)
    return Deployment(
        template=options.template,
        stack_name=str(saved.get("stack_name", "")),
        region=options.region or saved.get("region"),
        profile=options.profile or saved.get("profile"),
        given={**overrides, **options.parameters},
        definitions=parameter_definitions(options.template),
    )


def _saved_options(path: Path, environment: str) -> Mapping[str, Any]:
    try:
        saved = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        saved = {}
    except OSError as error:
        raise LocalStackError(f"Cannot read {path}: {error.strerror}.") from error
    except tomllib.TOMLDecodeError as error:
        raise LocalStackError(f"{path} is not TOML: {error}.") from error
    if environment not in saved:
        if environment == "default":
            return {}
        known = ", ".join(name for name in saved if name != "version") or "none"
        raise LocalStackError(f"{path} has no environment '{environment}'; there is {known}.")
    of_environment = saved[environment]
    of_all, of_deploy = (
        of_environment.get(command, {}).get("parameters", {}) for command in ("global", "deploy")
    )
    return {**of_all, **of_deploy}


def _overrides(value: Any, folder: Path) -> Mapping[str, str]:
    """Read parameters in any form that SAM accepts, with SAM's own code."""
    if not value:
        return {}
    # Imported here: it takes a while, and not every checkout has overrides.
    import click  # noqa: PLC0415
    from samcli.cli.types import (  # type: ignore[import-untyped] # noqa: PLC0415 - no stubs exist
        CfnParameterOverridesType,
    )

    try:
        given: dict[str, str] = CfnParameterOverridesType().convert(
            value, None, None, current_file=folder / _SAM_SETTINGS
        )
    except click.ClickException as error:
        raise LocalStackError(f"parameter_overrides: {error.format_message()}") from error
    return given
