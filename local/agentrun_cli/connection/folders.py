"""
The user's folders, by the XDG Base Directory specification.

A file of its own: profiles and logins both begin here.
"""

from collections.abc import Mapping
from pathlib import Path


def config_file(environment: Mapping[str, str]) -> Path:
    """Return the file of profiles."""
    return _folder(environment, "XDG_CONFIG_HOME", ".config") / "config.toml"


def state_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder of logins."""
    return _folder(environment, "XDG_STATE_HOME", ".local/state")


def _folder(environment: Mapping[str, str], variable: str, default: str) -> Path:
    named = environment.get(variable, "")
    # The specification: a relative path is invalid and to be ignored.
    if named.startswith("/"):
        return Path(named) / "agentrun"
    return Path(environment.get("HOME") or Path.home()) / default / "agentrun"
