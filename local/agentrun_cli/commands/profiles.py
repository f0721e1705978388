"""`agentrun profiles`: named deployments, and which of them is the default."""

import os
from typing import Annotated

import typer

from agentrun_cli.connection.folders import config_file, state_folder
from agentrun_cli.connection.profiles import NAME, SETTINGS, Profile, ProfileFile, profile_names
from agentrun_cli.connection.urls import base_url_of
from agentrun_cli.errors import ExitStatus, UsageError
from agentrun_cli.terminal.complaints import remark
from agentrun_cli.terminal.documents import (
    camel_case,
    print_columns,
    print_document,
    print_line,
)

LOCAL = "local"
"""The local stack, where no profile has this name."""
COLUMNS = {"in use": 6, "name": 16, "baseUrl": 60}

profiles = typer.Typer(help="Name deployments, and choose the one in use.")

Name = Annotated[str, typer.Argument(metavar="NAME", autocompletion=profile_names)]
BaseUrl = Annotated[str | None, typer.Option(help="REST API.")]
StreamUrl = Annotated[
    str | None, typer.Option(help="Function URL, for streams; default: the REST API.")
]
Issuer = Annotated[str | None, typer.Option(help="Who gives tokens to agentrun login.")]
ClientId = Annotated[str | None, typer.Option(help="What the issuer knows agentrun as.")]
Scope = Annotated[str | None, typer.Option(help="Scopes, with a space between two.")]
Audience = Annotated[str | None, typer.Option(help="Of the API, where the issuer needs it.")]
TokenCommand = Annotated[
    str | None, typer.Option(help="A command that prints a token; it gets no shell.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@profiles.command("list")
def list_profiles(*, as_json: AsJson = False) -> int:
    """List the profiles."""
    file = _file()
    in_use = file.default()
    rows = [
        {"name": name, "baseUrl": profile.base_url, "inUse": name == in_use}
        for name, profile in file.profiles().items()
    ]
    if as_json:
        for row in rows:
            print_line(row)
        return ExitStatus.DONE
    marked = ({**row, "in use": "*" if row["inUse"] else ""} for row in rows)
    print_columns(COLUMNS, marked, none="no profiles: commands go to the local stack")
    return ExitStatus.DONE


@profiles.command()
def show(name: Name, *, as_json: AsJson = False) -> int:
    """Print a profile's settings; tokens are not among them."""
    profile = _file().named(name)
    settings = {"name": name, **profile.settings()}
    if as_json:
        print_document({camel_case(key): value for key, value in settings.items()})
        return ExitStatus.DONE
    print_columns({"setting": 14, "value": 200}, _rows(settings), none="no settings")
    return ExitStatus.DONE


@profiles.command()
def use(name: Name) -> int:
    """Make a profile the default; `local` is the local stack."""
    file = _file()
    if name == LOCAL and name not in file.profiles():
        file.use(None)
        return ExitStatus.DONE
    file.use(file.named(name).name)
    return ExitStatus.DONE


@profiles.command("set")
def set_profile(
    name: Name,
    *,
    base_url: BaseUrl = None,
    stream_url: StreamUrl = None,
    issuer: Issuer = None,
    client_id: ClientId = None,
    scope: Scope = None,
    audience: Audience = None,
    token_command: TokenCommand = None,
) -> int:
    """Add a profile, or change what is given; an empty text removes a setting."""
    given = {
        "base_url": base_url,
        "stream_url": stream_url,
        "issuer": issuer,
        "client_id": client_id,
        "scope": scope,
        "audience": audience,
        "token_command": token_command,
    }
    put(_file(), name, {key: value for key, value in given.items() if value is not None})
    return ExitStatus.DONE


@profiles.command()
def remove(name: Name) -> int:
    """Remove a profile, and the login that belongs to it."""
    from agentrun_cli.login.stored import LoginStore  # noqa: PLC0415

    _file().remove(name)
    if LoginStore(state_folder(os.environ), name).delete():
        remark(f"logged out of {name}")
    return ExitStatus.DONE


def put(file: ProfileFile, name: str, given: dict[str, str]) -> Profile:
    """
    Add a profile, or change the one of this name, and return it.

    Args:
        file: The file of profiles.
        name: Letters, digits, `-` and `_`.
        given: Settings by their names in the file; an empty text removes one.

    Raises:
        UsageError: The name or an address is none, or a new profile gets no address.
    """
    if not NAME.fullmatch(name):
        raise UsageError(f"'{name}' is no name for a profile; use letters, digits, - and _")
    for setting in ("base_url", "stream_url", "issuer"):
        if given.get(setting):
            given[setting] = base_url_of(given[setting])
    known = file.profiles().get(name)
    if known is None and not given.get("base_url"):
        raise UsageError(f"there is no profile '{name}'; to add it, give its --base-url")
    if not given.get("base_url", "kept"):
        raise UsageError(f"the profile '{name}' needs its base_url; to remove it: profiles remove")
    settings = {**(known.settings() if known else {}), **given}
    profile = Profile(name, **{key: value for key, value in settings.items() if value})
    file.put(profile)
    return profile


def _file() -> ProfileFile:
    return ProfileFile(config_file(os.environ))


def _rows(settings: dict[str, str]) -> list[dict[str, str]]:
    named = [(key, settings[key]) for key in ("name", *SETTINGS) if key in settings]
    return [{"setting": key, "value": value} for key, value in named]
