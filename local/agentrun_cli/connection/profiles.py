"""Profiles: named deployments in `config.toml`, and which of them is the default."""

import json
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from agentrun_cli.connection.folders import config_file
from agentrun_cli.errors import CommandError, UsageError

NAME = re.compile(r"[A-Za-z0-9_-]+")
_TABLE = re.compile(r"\s*\[")
_DEFAULT = re.compile(r"\s*profile\s*=")
_ABOUT_NOTHING = re.compile(r"\s*(#|$)")


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
        """
        Make a profile the default; none: the local stack.

        Raises:
            UsageError: As for `profiles`, or the change has to be made by hand.
        """
        head, tables = self._split()
        expected = {**self._read(), "profile": name}
        self._write([*_with_default(name, head), *tables], expected, "profile")

    def put(self, profile: Profile) -> None:
        """Add a profile, or replace the one of its name. Raises as `use`."""
        head, tables = self._split()
        lines = [f"{name} = {_quoted(value)}" for name, value in profile.settings().items()]
        changed = _replaced(profile.name, tables, [f"[profiles.{profile.name}]", *lines])
        expected = self._with_profiles({profile.name: profile.settings()})
        self._write([*head, *changed], expected, profile.name)

    def remove(self, name: str) -> None:
        """Remove a profile, and the default if it is this one. Raises as `named` and `use`."""
        self.named(name)
        head, tables = self._split()
        expected = self._with_profiles({name: None})
        if self.default() == name:
            head, expected = _with_default(None, head), {**expected, "profile": None}
        self._write([*head, *_replaced(name, tables, [])], expected, name)

    def _with_profiles(self, changed: Mapping[str, object]) -> Mapping[str, object]:
        document = self._read()
        known = document.get("profiles", {})
        return {**document, "profiles": {**(known if isinstance(known, dict) else {}), **changed}}

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
        # Not `splitlines`: a text or a comment may hold what breaks a line elsewhere.
        lines = text.removesuffix("\n").split("\n") if text else []
        first = next((at for at, line in enumerate(lines) if _TABLE.match(line)), len(lines))
        return lines[:first], lines[first:]

    def _write(self, lines: Sequence[str], expected: Mapping[str, object], name: str) -> None:
        """Replace the file, if its new text says what is expected and nothing else."""
        text = "\n".join([*lines, ""])
        if _said_by(text) != _without_nones(expected):
            raise UsageError(
                f"{self._place_of(name)}: '{name}' is written in a way that this command cannot"
                " change; change the file by hand"
            )
        draft = self.path.with_name(f"{self.path.name}.draft")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft.write_text(text, encoding="utf-8")
            draft.replace(self.path)
        except OSError as error:
            raise CommandError(f"{self.path} cannot be written: {error.strerror}") from error

    def _place_of(self, name: str) -> str:
        """Return the file and the line of a key, or of a table's heading."""
        key = re.compile(rf"[^#=]*(?<![\w-]){re.escape(name)}(?![\w-])")
        lines = self.path.read_text(encoding="utf-8").split("\n")
        found = next((at for at, line in enumerate(lines, start=1) if key.match(line)), None)
        return f"{self.path}:{found}" if found else str(self.path)


def _with_default(name: str | None, head: list[str]) -> list[str]:
    others = [line for line in head if not _DEFAULT.match(line)]
    return [f"profile = {json.dumps(name)}", *others] if name else others


def _replaced(name: str, tables: list[str], lines: list[str]) -> list[str]:
    """
    Return the tables with other lines for a profile's own; behind the others if it has none yet.

    Its own lines are its heading to its last setting: comments below that are about what follows.
    """
    heading = re.compile(rf"\s*\[\s*profiles\s*\.\s*[\"']?{re.escape(name)}[\"']?\s*\]")
    begin = next((at for at, line in enumerate(tables) if heading.match(line)), len(tables))
    last = begin
    for at, line in enumerate(tables[begin + 1 :], start=begin + 1):
        if _TABLE.match(line):
            break
        if not _ABOUT_NOTHING.match(line):
            last = at
    return [*tables[:begin], *lines, *tables[last + 1 :]]


def _said_by(text: str) -> Mapping[str, object] | None:
    try:
        return _without_nones(tomllib.loads(text))
    except tomllib.TOMLDecodeError:
        return None


def _without_nones(document: Mapping[str, object]) -> Mapping[str, object]:
    """Return what a document says, without what is not there and without an empty `profiles`."""
    profiles = document.get("profiles")
    named = profiles.items() if isinstance(profiles, dict) else ()
    kept = {name: table for name, table in named if table is not None}
    said = {**document, "profiles": kept or None}
    return {name: value for name, value in said.items() if value is not None}


def _quoted(value: str) -> str:
    """Return a TOML basic string: JSON's, whose only difference is DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def profile_names() -> list[str]:
    """Return the names of this user's profiles, for the shell's completion: none if in doubt."""
    try:
        return list(ProfileFile(config_file(os.environ)).profiles())
    except UsageError:
        return []
