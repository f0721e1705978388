"""An MCP server in an agent's file."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    StringConstraints,
    model_validator,
)

from agent_catalog.tool_names import is_tool_name, plain_tool_name, with_hash
from agentrun.domain.agents import AgentTool, Replay

_VALUE = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9-]* )?\$\{(?P<variable>[A-Z_][A-Z0-9_]*)\}")
_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|\[::1\]")
# The file does not describe the server's tools, and listing agents does not ask the server.
_DESCRIPTION = "A tool of an MCP server; the server describes it to the model."


def reachable(url: HttpUrl) -> HttpUrl:
    """Return an address of another service, or raise ValueError if it is not safe to call."""
    if url.scheme != "https" and not _LOOPBACK.fullmatch(url.host or ""):
        raise ValueError("must be https, or http on this machine itself")
    if url.username or url.password or url.fragment:
        raise ValueError("must have neither a user, a password nor a fragment")
    return url


def _from_environment(value: str) -> str:
    # The message leaves out the value: it may be a secret, put here by mistake.
    if not _VALUE.fullmatch(value):
        raise ValueError("must name a variable, as '${NAME}' or 'Bearer ${NAME}'")
    return value


def _one_tool(name: str) -> str:
    if name.strip("* ") == "" or not name.isprintable():
        raise ValueError("must be a tool's name as the server has it")
    return name


# The protocol recommends up to 128 of `A-Za-z0-9_.-`; servers also use others, such as spaces.
_ServerName = Annotated[
    str, StringConstraints(min_length=1, max_length=256), AfterValidator(_one_tool)
]
_HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")]


class McpServer(BaseModel):
    """
    An MCP server (streamable HTTP), and which of its tools the agent may call.

    `tools`, `approval` and `replay` use the server's own names; `timeout_s` limits connecting and
    each call. What the server itself says of its tools (`readOnlyHint`, `idempotentHint`) is not
    looked at: the protocol's own words are that annotations of a server are not to be trusted.
    Header values are read from variables (`secret_variables.py`) at each run, so that secrets are
    not in the file, nor needed to list agents.
    """

    # Built late, as a part of the agent's file.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    url: Annotated[HttpUrl, AfterValidator(reachable)]
    tools: tuple[_ServerName, ...] = Field(min_length=1)
    approval: tuple[str, ...] = ()
    replay: dict[str, Replay] = {}
    prefix: str = Field(default="", pattern=r"^[A-Za-z0-9_-]{0,32}$")
    timeout_s: float = Field(default=10, gt=0, le=300)
    headers: dict[_HeaderName, Annotated[str, AfterValidator(_from_environment)]] = {}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [self.shown_name(tool) for tool in self.tools]
        for name, count in Counter(names).items():
            if count > 1:
                raise ValueError(f"the tool '{name}' appears twice")
        for field, named in (("approval", self.approval), ("replay", self.replay)):
            for name in named:
                if name not in self.tools:
                    raise ValueError(f"{field}: '{name}' is not among the tools of this server")
        return self

    def shown_name(self, tool: str) -> str:
        """
        Return the name by which the model and callers know one of the server's tools.

        It is the server's own name, after `prefix` and `_` if the file has a prefix, with `_` for
        each character that models do not accept, such as dots and slashes. A name that is too long
        or already taken ends with a hash.
        """
        plain = plain_tool_name(self._full_name(tool))
        others = (other for other in self.tools if other != tool)
        is_own = plain == self._full_name(tool)
        taken = not is_own and plain in {plain_tool_name(self._full_name(name)) for name in others}
        return with_hash(plain, tool) if taken or not is_tool_name(plain) else plain

    def _full_name(self, tool: str) -> str:
        return f"{self.prefix}_{tool}" if self.prefix else tool

    def agent_tools(self) -> tuple[AgentTool, ...]:
        """Return the tools for `GET /api/agents`, without asking the server."""
        return tuple(
            AgentTool(
                name=self.shown_name(tool),
                description=_DESCRIPTION,
                requires_approval=tool in self.approval,
                replay=self.replay.get(tool, Replay.NEVER),
            )
            for tool in self.tools
        )

    def header_values(self, variables: Mapping[str, str]) -> dict[str, str]:
        """
        Return the headers with their values.

        Raises:
            HeaderValueError: A variable is missing, empty, or not a valid header value.
        """
        return {
            name: (match["scheme"] or "") + header_value(match["variable"], variables)
            for name, value in self.headers.items()
            if (match := _VALUE.fullmatch(value))
        }


class HeaderValueError(ValueError):
    """A variable is not a valid header value; the message names the variable."""


def header_value(variable: str, variables: Mapping[str, str]) -> str:
    """Return a variable for a header; HeaderValueError if it is missing, empty or not valid."""
    value = variables.get(variable, "").strip()
    if not value:
        raise HeaderValueError(f"the variable {variable} is not set")
    if not (value.isascii() and value.isprintable()):
        raise HeaderValueError(f"the variable {variable} does not fit into a header")
    return value
