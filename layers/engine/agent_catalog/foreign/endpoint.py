"""Another service as an agent, in an agent's file."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    StringConstraints,
)

from agent_catalog.mcp.entry import header_value, reachable

_Variable = Annotated[str, StringConstraints(pattern=r"^[A-Z_][A-Z0-9_]*$")]


class Endpoint(BaseModel):
    """
    A service that answers in an agent's place.

    `openai` is the base URL of an API of chat completions, which `/chat/completions` is added to,
    and `model` what it is asked for. `secret` names the variable with the bearer token, so that it
    is neither in the file nor needed to list agents.
    """

    # Built late, as a part of the agent's file.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    openai: Annotated[HttpUrl, AfterValidator(reachable)]
    model: str = Field(min_length=1, max_length=200, pattern=r"^\S+$")
    secret: _Variable | None = None

    @property
    def model_id(self) -> str:
        """What callers see as the agent's model."""
        return f"endpoint:{self.model}"

    def headers(self, variables: Mapping[str, str]) -> dict[str, str]:
        """
        Return the headers that a request needs.

        Raises:
            HeaderValueError: The variable is missing, empty, or not a valid header value.
        """
        if self.secret is None:
            return {}
        return {"authorization": f"Bearer {header_value(self.secret, variables)}"}
