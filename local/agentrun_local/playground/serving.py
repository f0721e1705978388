"""How `agentrun dev` puts the playground in front of the REST API."""

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
    )
    return PlaygroundDoor(read_assets(), settings, api=api)
