"""Profiles: named deployments in `config.toml`, and which of them is the default."""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from agentrun_cli.connection.folders import config_file
from agentrun_cli.errors import CommandError, UsageError

NAME = re.compile(r"[A-Za-z0-9_-]+")
_TABLE = re.compile(r"\s*\[")
_DEFAULT = re.compile(r"\s*profile\s*=")


@dataclass(frozen=True)
class Profile:
    """
    A deployment and how to log in there.

    `base_url` is the REST API, `stream_url` the Function URL. A token comes from `token_command`
    or, by `agentrun login`, from the `issuer`.
    """

    name: str
    base_url: str
    stream_url: str | None = None
    issuer: str | None = None
    client_id: str | None = None
    scope: str | None = None
    audience: str | None = None
    token_command: str | None = None

    def settings(self) -> dict[str, str]:
        """Return what is set, by its name in the file."""
        named = {name: getattr(self, name) for name in SETTINGS}
        return {name: value for name, value in named.items() if value is not None}


SETTINGS = tuple(field.name for field in fields(Profile) if field.name != "name")
"""The names that a profile's table may have, in the order in which they are written."""


class ProfileFile:
    """Reads and edits the file; what is not a profile's own lines stays as it is."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def profiles(self) -> dict[str, Profile]:
        """
        Return all profiles by name; none if there is no file.

        Raises:
            UsageError: The file is not TOML, or a profile in it is not complete.
        """
        tables = self._read().get("profiles", {})
        if not isinstance(tables, dict):
            raise UsageError(f"{self.path}: 'profiles' is no table")
        return {name: self._profile(name, table) for name, table in tables.items()}

    def named(self, name: str) -> Profile:
        """
        Return a profile.

        Raises:
            UsageError: As for `profiles`, or there is none of this name.
        """
        known = self.profiles()
        if name not in known:
            there = ", ".join(known) or "none"
            raise UsageError(f"there is no profile '{name}' in {self.path}; there is {there}")
        return known[name]

    def default(self) -> str | None:
        """Return the name of the profile in use. Raises as `profiles`."""
        name = self._read().get("profile")
        return name if isinstance(name, str) else None

    def use(self, name: str | None) -> None:
        """Make a profile the default; none: the local stack. Raises as `profiles`."""
        head, tables = self._split()
        head = [line for line in head if not _DEFAULT.match(line)]
        self._write([*([f"profile = {json.dumps(name)}"] if name else []), *head], tables)

    def put(self, profile: Profile) -> None:
        """Add a profile, or replace the one of its name. Raises as `profiles`."""
        head, tables = self._split()
        lines = [f"{name} = {_quoted(value)}" for name, value in profile.settings().items()]
        kept = self._without(profile.name, tables)
        self._write(head, [*kept, f"[profiles.{profile.name}]", *lines])

    def remove(self, name: str) -> None:
        """Remove a profile, and the default if it is this one. Raises as `named`."""
        self.named(name)
        if self.default() == name:
            self.use(None)
        head, tables = self._split()
        self._write(head, self._without(name, tables))

    def _profile(self, name: str, table: object) -> Profile:
        if not isinstance(table, dict):
            raise UsageError(f"{self.path}: the profile '{name}' is no table")
        unknown = [key for key in table if key not in SETTINGS]
        if unknown:
            known = ", ".join(SETTINGS)
            raise UsageError(
                f"{self.path}: the profile '{name}' has '{unknown[0]}'; it may have {known}"
            )
        if wrong := [key for key, value in table.items() if not isinstance(value, str)]:
            raise UsageError(f"{self.path}: '{wrong[0]}' of the profile '{name}' is no text")
        if not table.get("base_url"):
            raise UsageError(f"{self.path}: the profile '{name}' has no base_url")
        return Profile(name=name, **table)

    def _read(self) -> Mapping[str, object]:
        try:
            return tomllib.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise UsageError(f"{self.path} cannot be read: {error}") from error

    def _split(self) -> tuple[list[str], list[str]]:
        """Return the lines before the first table, and the others."""
        self.profiles()
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        lines = text.splitlines()
        first = next((at for at, line in enumerate(lines) if _TABLE.match(line)), len(lines))
        return lines[:first], lines[first:]

    def _without(self, name: str, tables: list[str]) -> list[str]:
        heading = re.compile(rf"\s*\[\s*profiles\s*\.\s*[\"']?{re.escape(name)}[\"']?\s*\]")
        kept, inside = [], False
        for line in tables:
            if _TABLE.match(line):
                inside = heading.match(line) is not None
            if not inside:
                kept.append(line)
        return kept

    def _write(self, head: list[str], tables: list[str]) -> None:
        draft = self.path.with_name(f"{self.path.name}.draft")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft.write_text("\n".join([*head, *tables, ""]), encoding="utf-8")
            draft.replace(self.path)
        except OSError as error:
            raise CommandError(f"{self.path} cannot be written: {error.strerror}") from error


def _quoted(value: str) -> str:
    """Return a TOML basic string: JSON's, whose only difference is DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def profile_names() -> list[str]:
    """Return the names of this user's profiles, for the shell's completion: none if in doubt."""
    try:
        return list(ProfileFile(config_file(os.environ)).profiles())
    except UsageError:
        return []
