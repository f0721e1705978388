"""Another service as an agent, in an agent's file."""

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

from agent_catalog.mcp.entry import header_value, reachable

_Variable = Annotated[str, StringConstraints(pattern=r"^[A-Z_][A-Z0-9_]*$")]


class Endpoint(BaseModel):
    """
    A service that answers in an agent's place.

    Either `openai` is the base URL of an API of chat completions, and `model` what it is asked for:
    `/chat/completions` is added to its path, and a query stays behind that. Or `a2a` is the URL of
    the card of an agent that speaks the Agent2Agent protocol, or the one to which it takes
    JSON-RPC. `secret` names the variable with the bearer token, so that it is neither in the file
    nor needed to list agents.
    """

    # Built late, as a part of the agent's file.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    openai: Annotated[HttpUrl, AfterValidator(reachable)] | None = None
    a2a: Annotated[HttpUrl, AfterValidator(reachable)] | None = None
    model: str | None = Field(default=None, min_length=1, max_length=200, pattern=r"^\S+$")
    secret: _Variable | None = None

    @model_validator(mode="after")
    def _one_protocol(self) -> Self:
        if (self.openai is None) == (self.a2a is None):
            raise ValueError("must have exactly one of openai and a2a")
        if (self.model is None) != (self.openai is None):
            raise ValueError("model: goes with openai, and is required there")
        return self

    @property
    def model_id(self) -> str:
        """What callers see as the agent's model."""
        return f"endpoint:{self.model or 'a2a'}"

    @property
    def outlives_executors(self) -> bool:
        """Whether another executor can go on with what was asked, instead of asking again."""
        return self.a2a is not None

    def headers(self, variables: Mapping[str, str]) -> dict[str, str]:
        """
        Return the headers that a request needs.

        Raises:
            HeaderValueError: The variable is missing, empty, or not a valid header value.
        """
        if self.secret is None:
            return {}
        return {"authorization": f"Bearer {header_value(self.secret, variables)}"}
