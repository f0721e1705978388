"""The messages of the Model Context Protocol, as far as tools need them."""

from collections.abc import Collection, Iterable, Sequence
from typing import TypeGuard

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic_core import from_json, to_json

JsonObject = dict[str, JsonValue]

INITIALIZE = "initialize"
OFFERED_VERSION = "2025-11-25"
# The revisions that begin with `initialize`; for tools they differ in nothing that matters here.
KNOWN_VERSIONS = frozenset({"2024-11-05", "2025-03-26", "2025-06-18", OFFERED_VERSION})
_METHOD_NOT_FOUND = -32601
_MAX_DEFINITION_BYTES = 64 * 1024
_SHORTEST_SECRET = 6
_MAX_REASON_CHARACTERS = 500


class McpError(Exception):
    """What an MCP server has done wrong: a predicate of "the server", without any secret."""


class McpRefusalError(McpError):
    """The server has refused a request, in its own words, which may quote what it was sent."""


class _Received(BaseModel):
    # Built when the first server answers: most agents have none.
    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)


class Initialized(_Received):
    """The server's answer to `initialize`."""

    protocol_version: str = Field(alias="protocolVersion")


class ToolDescription(_Received):
    """A tool as its server describes it."""

    name: str
    description: str = ""
    input_schema: JsonObject = Field(alias="inputSchema")

    @property
    def usable(self) -> bool:
        """Whether a model can be given it: an object's schema, of a size that fits a prompt."""
        size = len(self.description.encode()) + len(to_json(self.input_schema))
        return self.input_schema.get("type") == "object" and size <= _MAX_DEFINITION_BYTES


class ToolPage(_Received):
    """One page of `tools/list`; a tool that does not parse must not hide the others."""

    tools: tuple[JsonObject, ...]
    next_cursor: str | None = Field(default=None, alias="nextCursor")

    def described(self) -> list[ToolDescription]:
        """Give the tools that are described as the protocol says, and usable."""
        tools = []
        for tool in self.tools:
            try:
                described = ToolDescription.model_validate(tool)
            except ValidationError:
                continue
            if described.usable:
                tools.append(described)
        return tools


class ToolResult(_Received):
    """The answer to `tools/call`; `is_error` says that the tool itself has failed."""

    content: tuple[JsonObject, ...] = ()
    structured_content: JsonObject | None = Field(default=None, alias="structuredContent")
    is_error: bool = Field(default=False, alias="isError")


def parse(text: str | bytes, secrets: Collection[str]) -> list[JsonObject]:
    """
    Read JSON-RPC messages: one, or several as revision 2025-03-26 allowed.

    A server may send back what it was sent, so the secrets among it are blotted out here, before
    anything else sees the message. Very short ones are not: they would occur by chance.

    Raises:
        McpError: It is not JSON.
    """
    try:
        read = from_json(text)
    except ValueError:
        raise McpError("has answered with something that is not JSON") from None
    # The longest first: one may be a part of another.
    hidden = sorted(filter(_can_be_found, secrets), key=len, reverse=True)
    items = _without(read, hidden) if hidden else read
    return [item for item in (items if isinstance(items, list) else [items]) if _is_object(item)]


def _can_be_found(secret: str) -> bool:
    return len(secret) >= _SHORTEST_SECRET


def _without(value: JsonValue, secrets: Sequence[str]) -> JsonValue:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, "[secret]")
        return value
    if isinstance(value, list):
        return [_without(item, secrets) for item in value]
    if isinstance(value, dict):
        return {str(_without(key, secrets)): _without(value[key], secrets) for key in value}
    return value


def answer_among(messages: Iterable[JsonObject], number: int | None) -> JsonObject | None:
    """Find the answer, good or bad, to the request of a number; None stands for any."""
    for message in messages:
        if ("result" in message or "error" in message) and number in {None, message.get("id")}:
            return message
    return None


def result_of(message: JsonObject) -> JsonObject:
    """
    Give what a request was answered with.

    Raises:
        McpRefusalError: With an error.
        McpError: With something that is no object.
    """
    error, result = message.get("error"), message.get("result")
    if _is_object(error):
        # On one line: it goes into the log as well.
        reason = " ".join(str(error.get("message")).split())[:_MAX_REASON_CHARACTERS]
        raise McpRefusalError(f"has refused the request: {reason.rstrip('.')}")
    if not _is_object(result):
        raise McpError("has given an answer that is not one")
    return result


def reply_to(message: JsonObject) -> JsonObject | None:
    """
    Answer what a server asks of us; None where it asks nothing.

    It may see whether we are there. Sampling, elicitation and roots are refused: a server does not
    get to use the agent's model, nor to talk to its user.
    """
    if "method" not in message or "id" not in message:
        return None
    reply: JsonObject = {"jsonrpc": "2.0", "id": message["id"]}
    if message["method"] == "ping":
        return {**reply, "result": {}}
    return {**reply, "error": {"code": _METHOD_NOT_FOUND, "message": "Not supported."}}


def _is_object(value: object) -> TypeGuard[JsonObject]:
    return isinstance(value, dict)
