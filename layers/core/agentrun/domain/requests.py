"""What a caller asks for when starting a run."""

from typing import Annotated
from uuid import UUID

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
)

from agentrun.domain.media_types import essence
from agentrun.domain.model import Model
from agentrun.domain.principal import MAX_NAME_CHARACTERS

MAX_MESSAGE_CHARACTERS = 100_000


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be only white space")
    return text


def _number(value: object) -> object:
    """Let nothing but a number be one; JSON makes no difference between 1 and 1.0."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise ValueError("must be a number")


class RunOptions(Model):
    """Overrides for one run; each must be allowed by the agent."""

    model_config = ConfigDict(extra="ignore")

    model: str | None = Field(default=None, max_length=256)
    temperature: Annotated[float | None, BeforeValidator(_number)] = Field(default=None, ge=0, le=2)
    max_tokens: Annotated[int | None, BeforeValidator(_number)] = Field(
        default=None, ge=1, le=65_536
    )
    system_prompt: str | None = Field(default=None, max_length=MAX_MESSAGE_CHARACTERS)


class Media(Model):
    """A file that goes with the message: its MIME type, and base64 data or an http(s) URL."""

    model_config = ConfigDict(extra="ignore")

    type: Annotated[str, Field(max_length=255), AfterValidator(essence)]
    data: str = Field(min_length=1)

    @property
    def is_url(self) -> bool:
        """Tell a URL from base64, which has no colon."""
        return self.data[:8].lower().startswith(("http://", "https://"))


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
        default=None,
        min_length=1,
        max_length=MAX_NAME_CHARACTERS,
        validation_alias=AliasChoices("userId", "user_id"),
    )
    org_id: str | None = Field(
        default=None,
        max_length=MAX_NAME_CHARACTERS,
        validation_alias=AliasChoices("orgId", "org_id"),
    )
    generate_followups: StrictBool = False
    # At the first bad one: a body may have millions, and each error would be kept and reported.
    media: tuple[Media, ...] = Field(default=(), fail_fast=True)
    options: RunOptions = RunOptions()
