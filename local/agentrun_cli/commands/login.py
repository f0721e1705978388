"""`agentrun login` and `agentrun logout`: tokens for a profile, by OAuth's device flow."""

import os
import time
from typing import Annotated

import typer

from agentrun_cli.commands.profiles import Audience, ClientId, Issuer, Scope, put
from agentrun_cli.connection.folders import config_file, state_folder
from agentrun_cli.connection.profiles import Profile, ProfileFile, profile_names
from agentrun_cli.connection.target import PROFILE_VARIABLE
from agentrun_cli.errors import ExitStatus, UsageError
from agentrun_cli.terminal.complaints import remark

DEFAULT_SCOPE = "openid offline_access"
"""`offline_access` asks for a refresh token (OpenID Connect Core, 11)."""

ProfileName = Annotated[
    str | None,
    typer.Option(
        help="Default: $AGENTRUN_PROFILE, or the one in use.", autocompletion=profile_names
    ),
]
BaseUrl = Annotated[
    str | None, typer.Option(help="REST API that the tokens are for; makes a new profile.")
]


def login(
    *,
    profile: ProfileName = None,
    base_url: BaseUrl = None,
    issuer: Issuer = None,
    client_id: ClientId = None,
    scope: Scope = None,
    audience: Audience = None,
) -> int:
    """Log in to a profile's issuer in a browser, on this machine or another."""
    given = {
        "base_url": base_url,
        "issuer": issuer,
        "client_id": client_id,
        "scope": scope,
        "audience": audience,
    }
    kept = {name: value for name, value in given.items() if value is not None}
    file = ProfileFile(config_file(os.environ))
    name = _name(file, profile)
    chosen = put(file, name, kept) if kept else file.named(name)
    _log_in(chosen)
    return ExitStatus.DONE


def logout(*, profile: ProfileName = None) -> int:
    """Delete a profile's tokens from this machine."""
    from agentrun_cli.login.stored import LoginStore  # noqa: PLC0415

    name = _name(ProfileFile(config_file(os.environ)), profile)
    if not LoginStore(state_folder(os.environ), name).delete():
        remark(f"there was no login for {name}")
        return ExitStatus.DONE
    remark(f"logged out of {name}")
    return ExitStatus.DONE


def _name(file: ProfileFile, given: str | None) -> str:
    name = given or os.environ.get(PROFILE_VARIABLE) or file.default()
    if not name:
        raise UsageError(
            "the local stack needs no login; name a profile: agentrun login --profile NAME"
            " --base-url URL --issuer URL --client-id ID"
        )
    return name


def _log_in(profile: Profile) -> None:
    import httpx  # noqa: PLC0415

    from agentrun_cli.login.device_flow import DeviceCode, DeviceFlow  # noqa: PLC0415
    from agentrun_cli.login.issuer import TIMEOUT_S, discover  # noqa: PLC0415
    from agentrun_cli.login.stored import Login, LoginStore  # noqa: PLC0415

    issuer, client_id = profile.issuer, profile.client_id
    if not issuer or not client_id:
        raise UsageError(f"the profile '{profile.name}' needs --issuer and --client-id to log in")
    with httpx.Client(timeout=TIMEOUT_S) as http:
        endpoints = discover(http, issuer)
        flow = DeviceFlow(http, endpoints, client_id)
        code: DeviceCode = flow.begin(
            scope=profile.scope or DEFAULT_SCOPE, audience=profile.audience
        )
        remark(f"Open {code.verification_uri} and enter the code {code.user_code}")
        if code.verification_uri_complete:
            remark(f"or open {code.verification_uri_complete}")
        grant = flow.wait(code)
    empty = Login(profile.base_url, issuer, client_id, endpoints.token, "", None, None)
    store = LoginStore(state_folder(os.environ), profile.name)
    with store.locked():
        store.write(empty.with_grant(grant, now=time.time()))
    remark(f"logged in to {profile.name}, {profile.base_url}")
