"""
Decides where requests go and as whom; docs/command-line.md has the same order as tables.

No token that belongs to one deployment is ever sent to another.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agentrun_cli.connection.folders import config_file, state_folder
from agentrun_cli.connection.profiles import Profile, ProfileFile
from agentrun_cli.connection.tokens import CommandToken, FixedToken, LocalToken, TokenSource
from agentrun_cli.connection.urls import base_url_of, is_loopback, origin_of
from agentrun_cli.errors import UsageError
from agentrun_local.addresses import DEFAULT, running_addresses

LOCAL_BASE_URL, LOCAL_STREAM_URL = DEFAULT
TOKEN_VARIABLE = "AGENTRUN_TOKEN"  # noqa: S105 - the variable's name
BASE_URL_VARIABLE = "AGENTRUN_BASE_URL"
PROFILE_VARIABLE = "AGENTRUN_PROFILE"


@dataclass(frozen=True)
class Given:
    """What the command's options say; None where they say nothing."""

    template: Path
    profile: str | None = None
    base_url: str | None = None
    token: str | None = field(default=None, repr=False)
    stack: str | None = None
    region: str | None = None


@dataclass(frozen=True)
class Target:
    """Where requests go. `token` is called for every request."""

    base_url: str
    stream_url: str | None
    token: TokenSource = field(repr=False)
    is_local_default: bool = False


def find_target(given: Given, environment: Mapping[str, str]) -> Target:
    """
    Find the deployment and the token of a command.

    Raises:
        UsageError: There is no such profile, an address is none, or there is no token to send.
        CommandError: The outputs of a CloudFormation stack cannot be read.
    """
    profile = _profile(given, environment)
    base_url, stream_url = _addresses(given, environment, profile)
    return Target(
        base_url=base_url,
        stream_url=stream_url,
        token=_token(given, environment, profile, base_url),
        is_local_default=base_url == LOCAL_BASE_URL,
    )


def _profile(given: Given, environment: Mapping[str, str]) -> Profile | None:
    file = ProfileFile(config_file(environment))
    named = given.profile or environment.get(PROFILE_VARIABLE)
    # An address that is given says it all; the default profile is for when nothing does.
    elsewhere = given.base_url or given.stack or environment.get(BASE_URL_VARIABLE)
    name = named or (None if elsewhere else file.default())
    return file.named(name) if name else None


def _addresses(
    given: Given, environment: Mapping[str, str], profile: Profile | None
) -> tuple[str, str | None]:
    if given.base_url:
        return base_url_of(given.base_url), None
    if given.stack:
        return _outputs(given.stack, given.region)
    if given.profile and profile:
        return _of_profile(profile)
    if variable := environment.get(BASE_URL_VARIABLE):
        return base_url_of(variable), None
    return _of_profile(profile) if profile else _of_local_stack(given.template)


def _of_profile(profile: Profile) -> tuple[str, str | None]:
    stream_url = base_url_of(profile.stream_url) if profile.stream_url else None
    return base_url_of(profile.base_url), stream_url


def _of_local_stack(template: Path) -> tuple[str, str]:
    if running := running_addresses(template):
        return running.rest_api, running.function_url
    return LOCAL_BASE_URL, LOCAL_STREAM_URL


def _outputs(stack: str, region: str | None) -> tuple[str, str]:
    # Imported here: boto3 takes a moment, which only --stack has to wait.
    from agentrun_local.smoke.command import stack_doors  # noqa: PLC0415
    from agentrun_local.smoke.target import Door  # noqa: PLC0415

    doors = stack_doors(stack, region)
    return doors[Door.REST].rstrip("/"), doors[Door.URL].rstrip("/")


def _token(
    given: Given, environment: Mapping[str, str], profile: Profile | None, base_url: str
) -> TokenSource:
    if given.token:
        return FixedToken(given.token, "--token")
    own = None
    if profile and origin_of(profile.base_url) == origin_of(base_url):
        own = _profile_token(profile, environment)
    if given.profile and own:
        return own
    if variable := environment.get(TOKEN_VARIABLE):
        return FixedToken(variable, TOKEN_VARIABLE)
    if own:
        return own
    if is_loopback(base_url):
        return LocalToken(given.template)
    raise UsageError(_no_token(profile, base_url))


def _profile_token(profile: Profile, environment: Mapping[str, str]) -> TokenSource | None:
    """Return a source of a profile's tokens: its command, or its login; None without either."""
    if profile.token_command:
        return CommandToken(profile.token_command)
    from agentrun_cli.login.stored import LoginStore  # noqa: PLC0415
    from agentrun_cli.login.token import LoginToken  # noqa: PLC0415

    store = LoginStore(state_folder(environment), profile.name)
    login = store.read()
    if login is None or not login.is_for(profile.base_url):
        return None
    return LoginToken(store, profile.base_url)


def _no_token(profile: Profile | None, base_url: str) -> str:
    if profile is None:
        return f"a token is needed for {base_url}: put it into {TOKEN_VARIABLE}, or use a profile"
    if origin_of(profile.base_url) != origin_of(base_url):
        return (
            f"the token of the profile '{profile.name}' is for {profile.base_url} and is not sent"
            f" to {base_url}; put another one into {TOKEN_VARIABLE}"
        )
    return f"no token for the profile '{profile.name}': agentrun login --profile {profile.name}"
