"""An agent's card: where its JSON-RPC interface is, and which version that speaks."""

from urllib.parse import urljoin, urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_ai import exceptions as ai

from agent_catalog.foreign.a2a_versions import V0_3, V1, Version, version_of

_JSON_RPC = "JSONRPC"


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", alias_generator=to_camel, defer_build=True)


class _Interface(_Part):
    url: str = ""
    transport: str = ""
    """In version 0.3, where all interfaces have the card's version."""
    protocol_binding: str = ""
    protocol_version: str = ""


class _Card(_Part):
    supported_interfaces: tuple[_Interface, ...] = ()
    # Of version 0.3.
    protocol_version: str = ""
    url: str = ""
    preferred_transport: str = _JSON_RPC
    additional_interfaces: tuple[_Interface, ...] = ()

    def interfaces(self) -> list[tuple[str, Version]]:
        """Return the addresses that take JSON-RPC, with their versions."""
        own = _Interface(url=self.url, transport=self.preferred_transport)
        named = [
            (each.url, each.protocol_version)
            for each in self.supported_interfaces
            if each.protocol_binding == _JSON_RPC
        ]
        named += [
            (each.url, self.protocol_version)
            for each in (own, *self.additional_interfaces)
            if each.transport == _JSON_RPC
        ]
        return [(url, spoken) for url, name in named if url and (spoken := version_of(name))]


def is_card(url: str) -> bool:
    """Tell whether an address is that of a card, such as `…/.well-known/agent-card.json`."""
    return urlsplit(url).path.endswith(".json")


def interface_in(card: bytes, url: str) -> tuple[str, Version]:
    """
    Return the address for JSON-RPC that a card names, and its version, the newest that is spoken.

    Args:
        card: The document.
        url: Where it was read.

    Raises:
        UserError: It names none, or one on another host, which must not get the agent's key.
        UnexpectedModelBehavior: It is no card.
    """
    try:
        interfaces = _Card.model_validate_json(card).interfaces()
    except ValidationError as error:
        raise ai.UnexpectedModelBehavior("The agent's card cannot be read.") from error
    for version in (V1, V0_3):
        for address, spoken in interfaces:
            if spoken is version:
                return _on_same_host(urljoin(url, address), url), version
    raise ai.UserError(f"{url} names no JSON-RPC interface of version 1.0 or 0.3")


def _on_same_host(address: str, card_url: str) -> str:
    there, here = urlsplit(address), urlsplit(card_url)
    if (there.scheme, there.netloc) == (here.scheme, here.netloc):
        return address
    raise ai.UserError(
        f"{card_url} names {address}, on another host; set a2a to the address for JSON-RPC itself"
    )
