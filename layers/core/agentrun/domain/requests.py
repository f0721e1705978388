"""What a caller asks for when starting a run."""

from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, AliasChoices, ConfigDict, Field

from agentrun.domain.model import Model

MAX_MESSAGE_CHARACTERS = 100_000


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be only white space")
    return text


class RunOptions(Model):
    """Overrides for one run; each must be allowed by the agent."""

    model_config = ConfigDict(extra="ignore")

    model: str | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int | None = Field(default=None, ge=1, le=65_536)
    system_prompt: str | None = Field(default=None, max_length=MAX_MESSAGE_CHARACTERS)


class Media(Model):
    """A file that goes with the message: its MIME type, and base64 data or an http(s) URL."""

    model_config = ConfigDict(extra="ignore")

    type: str = Field(max_length=255)
    data: str = Field(min_length=1)


class RunRequest(Model):
    """The body of a request that starts a run; unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore")

    message: Annotated[
        str,
        Field(min_length=1, max_length=MAX_MESSAGE_CHARACTERS),
        AfterValidator(_not_blank),
    ]
    session_id: UUID | None = Field(
        default=None, validation_alias=AliasChoices("sessionId", "session_id")
    )
    user_id: str | None = Field(
        default=None, max_length=256, validation_alias=AliasChoices("userId", "user_id")
    )
    org_id: str | None = Field(
        default=None, max_length=64, validation_alias=AliasChoices("orgId", "org_id")
    )
    generate_followups: bool = False
    media: tuple[Media, ...] = Field(default=(), max_length=10)
    options: RunOptions = RunOptions()
