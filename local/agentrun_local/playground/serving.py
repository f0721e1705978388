"""How `agentrun dev` puts the playground in front of the REST API."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from agentrun_local.doors.web_server import Door
from agentrun_local.playground.assets import read_assets
from agentrun_local.playground.door import PlaygroundDoor, PlaygroundSettings
from agentrun_local.stack import RunningStack, StackOptions

# The page asks for its settings again before the token in them ends.
TOKEN_LIFETIME_S = 3600


def with_playground(
    api: Door, stack: RunningStack, options: StackOptions, *, base_path: str, function_url: str
) -> Door:
    """
    Serve the page on the REST API's own origin.

    Args:
        api: The door of everything else.
        stack: Whose dev tokens the page uses, unless the developer has an issuer of their own.
        options: What the developer chose.
        base_path: Where the REST API lies on its origin.
        function_url: The base of the streams' URLs, used where its CORS lets the page read them.
    """
    given = options.parameters
    is_ours = not {"Issuer", "JwksUrl", "Jwks"} & given.keys()
    settings = PlaygroundSettings(
        base_path=base_path,
        stream_url=function_url if given.get("CorsOrigins", "*") == "*" else None,
        token=(lambda: stack.identity.token(expires_in_s=TOKEN_LIFETIME_S)) if is_ours else None,
        sign_in={} if is_ours else _sign_in(given),
        sign_in_origins=() if is_ours else _origins(given),
    )
    return PlaygroundDoor(read_assets(), settings, api=api)


def _sign_in(given: Mapping[str, str]) -> Mapping[str, str]:
    """Return what the template's resource `PlaygroundFiles` has the deployed page told."""
    named = {
        "issuer": "Issuer",
        "clientId": "PlaygroundClientId",
        "scopes": "PlaygroundScopes",
        "signInQuery": "PlaygroundSignInQuery",
        "sends": "PlaygroundToken",
    }
    if not given.get("Issuer") or not given.get("PlaygroundClientId"):
        return {}
    return {name: given[parameter] for name, parameter in named.items() if given.get(parameter)}


def _origins(given: Mapping[str, str]) -> tuple[str, ...]:
    if not _sign_in(given):
        return ()
    issuer = urlsplit(given["Issuer"])
    return (f"{issuer.scheme}://{issuer.netloc}", *given.get("PlaygroundOrigins", "").split())
