"""What callers ask for, and when two requests are the same."""

import hashlib
import json
import re
from base64 import urlsafe_b64encode
from typing import Annotated, Literal, TypeVar, get_args
from uuid import UUID

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
)

from agentrun.domain.media import MAX_MEDIA, essence
from agentrun.domain.principal import MAX_NAME_CHARACTERS
from agentrun.domain.value import Value

MAX_MESSAGE_CHARACTERS = 100_000
T = TypeVar("T")
_MIME_NAME = "[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be only white space")
    return text


def _not_empty(items: tuple[T, ...]) -> tuple[T, ...]:
    if not items:
        raise ValueError("must not be empty")
    return items


def _http_url(text: str) -> str:
    # What the pattern in the schema says, in words that a caller understands.
    if not re.fullmatch(r"https?://\S+", text):
        raise ValueError("must be an http or https URL")
    return text


def _number(value: object) -> object:
    """Refuse what is no number, true and false included; JSON does not tell 1 from 1.0."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise ValueError("must be a number")


class Budget(Value):
    """What a run may spend; it ends, or pauses, after the step that reaches a limit."""

    model_config = ConfigDict(extra="ignore")

    max_cost_usd: Annotated[float | None, BeforeValidator(_number)] = Field(
        default=None, gt=0, le=1_000_000, allow_inf_nan=False, description="In US dollars."
    )
    max_total_tokens: Annotated[int | None, BeforeValidator(_number)] = Field(
        default=None, ge=1, le=10**12
    )

    def within(self, other: "Budget") -> "Budget":
        """Return the smaller of both in each limit."""
        return Budget(
            max_cost_usd=_smaller(self.max_cost_usd, other.max_cost_usd),
            max_total_tokens=_smaller(self.max_total_tokens, other.max_total_tokens),
        )


Limit = TypeVar("Limit", int, float)


def _smaller(one: Limit | None, other: Limit | None) -> Limit | None:
    given = [limit for limit in (one, other) if limit is not None]
    return min(given, default=None)


class RunOptions(Budget):
    """Overrides for one run, and its budget, which is never above the agent's own."""

    model_config = ConfigDict(extra="ignore")

    model: str | None = Field(
        default=None, max_length=256, description="One of the agent's `models`."
    )
    temperature: Annotated[float | None, BeforeValidator(_number)] = Field(default=None, ge=0, le=2)
    max_tokens: Annotated[int | None, BeforeValidator(_number)] = Field(
        default=None, ge=1, le=65_536
    )
    system_prompt: str | None = Field(
        default=None,
        max_length=MAX_MESSAGE_CHARACTERS,
        description="In place of the agent's instructions, where the agent allows it.",
    )


class Media(Value):
    """A file that goes with the message."""

    model_config = ConfigDict(extra="ignore")

    type: Annotated[
        str,
        Field(
            max_length=255,
            description="A MIME type that the agent takes.",
            json_schema_extra={
                "pattern": rf"^[ \t]*{_MIME_NAME}/{_MIME_NAME}[ \t]*(;.*)?$",
            },
        ),
        AfterValidator(essence),
    ]
    data: str = Field(
        min_length=1, description="Padded base64, or an http(s) URL of a public host."
    )

    @property
    def is_url(self) -> bool:
        """Tell a URL from base64, which has no colon."""
        return self.data[:8].lower().startswith(("http://", "https://"))


WebhookEvent = Literal["run.completed", "run.failed", "run.cancelled", "run.paused"]
WEBHOOK_EVENTS: tuple[WebhookEvent, ...] = get_args(WebhookEvent)


class Webhook(Value):
    """Who is told by HTTP when the run has paused or ended, and of which of these events."""

    model_config = ConfigDict(extra="ignore")

    url: Annotated[
        str,
        Field(
            max_length=2048,
            description="An http or https URL of a public host.",
            json_schema_extra={"pattern": r"^https?://[^\s]+$"},
        ),
        AfterValidator(_http_url),
    ]
    events: Annotated[
        tuple[WebhookEvent, ...],
        # With `min_length`, a list of unknown names alone would be said to be too short, too.
        Field(max_length=4, json_schema_extra={"minItems": 1}),
        AfterValidator(_not_empty),
    ] = WEBHOOK_EVENTS


class RunRequest(Value):
    """What an agent is asked; unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore")

    message: Annotated[
        str,
        Field(
            min_length=1,
            max_length=MAX_MESSAGE_CHARACTERS,
            description="Not only white space. Comes back as it was sent, U+0000 included.",
            # Python's white space, of which ECMA 262 has less.
            json_schema_extra={"pattern": r"[^\s\x1c-\x1f\x85]"},
        ),
        AfterValidator(_not_blank),
    ]
    session_id: UUID | None = Field(
        default=None,
        validation_alias=AliasChoices("sessionId", "session_id"),
        description="The conversation to go on with; one that the tenant does not know is begun; "
        "omitted: a fresh one. `session_id` is understood too.",
    )
    user_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_NAME_CHARACTERS,
        validation_alias=AliasChoices("userId", "user_id"),
        description="The user in whose name the run acts; another one than the token's needs the "
        "scope `runs:impersonate`. `user_id` is understood too.",
    )
    org_id: str | None = Field(
        default=None,
        max_length=MAX_NAME_CHARACTERS,
        validation_alias=AliasChoices("orgId", "org_id"),
        description="May repeat the token's organisation. `org_id` is understood too.",
    )
    generate_followups: StrictBool = Field(
        default=False, description="Whether to suggest follow-up questions."
    )
    # Fail at the first bad one: a body may have millions, and each error would be kept.
    media: tuple[Media, ...] = Field(
        default=(),
        fail_fast=True,
        description="Inline data at most 4 MiB decoded in all, files by URL at most 10 MiB each.",
        json_schema_extra={"maxItems": MAX_MEDIA},
    )
    options: RunOptions = RunOptions()
    webhook: Webhook | None = None

    def without_media(self) -> "RunRequest":
        """Return the request without its media."""
        return self.model_copy(update={"media": ()})


class IdempotencyClaim(Value):
    """
    What a caller's Idempotency-Key stands for.

    `key_hash` names the user and the key, `fingerprint` the agent and the body. The same key with
    another fingerprint is the caller's mistake.
    """

    key_hash: str
    fingerprint: str


def idempotency_claim(
    user_id: str, key: str, *, agent_id: str, body: JsonValue
) -> IdempotencyClaim:
    """Return the claim of a request; bodies that are equal as JSON have equal fingerprints."""
    return IdempotencyClaim(
        key_hash=_digest(user_id, key), fingerprint=_digest(agent_id, _canonical(body))
    )


def request_fingerprint(agent_id: str, body: JsonValue) -> str:
    """
    Return 16 characters that name an agent and a body, for requests without a key.

    They are 96 bits, compared among the runs of one user and a quarter of an hour.
    """
    digest = hashlib.sha256("\0".join((agent_id, _canonical(body))).encode()).digest()
    return urlsafe_b64encode(digest[:12]).decode()


def _canonical(body: JsonValue) -> str:
    text = _written(body)
    # Only a float that is whole is written in two ways, `1.0` or `1e+16`; most bodies have none,
    # and a large one takes a second to look through.
    return _written(_normal(body)) if ".0" in text or "e+" in text else text


def _written(body: JsonValue) -> str:
    return json.dumps(body, sort_keys=True, separators=(",", ":"))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _normal(value: JsonValue) -> JsonValue:
    """Write whole numbers in one way: JSON does not tell 1 from 1.0."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_normal(item) for item in value]
    if isinstance(value, dict):
        return {name: _normal(item) for name, item in value.items()}
    return value
