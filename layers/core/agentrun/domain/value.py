"""The shape that all domain models share: closed, frozen, camelCase outside."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

ID_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What a run or agent id may look like; ids are parts of the table's keys."""


class Value(BaseModel):
    """
    A closed and frozen value; snake_case in Python, camelCase in JSON.

    Of models that callers see, a docstring's first paragraph and the fields' descriptions are what
    the OpenAPI document says of them.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        serialize_by_alias=True,
        ser_json_bytes="base64",
        val_json_bytes="base64",
    )


_EPOCH = datetime.fromtimestamp(0, UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_milliseconds(at: datetime) -> datetime:
    """Drop what is finer than a millisecond: no store and no answer of ours keeps it."""
    if at.tzinfo is None:
        raise ValueError("an instant needs its time zone")
    at = at.astimezone(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def iso_milliseconds(at: datetime) -> str:
    """Write an aware instant as ISO 8601 in UTC with milliseconds and `Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def epoch_ms(at: datetime) -> int:
    """Return an aware instant as integer milliseconds since the Unix epoch."""
    return (at - _EPOCH) // _MILLISECOND


def from_epoch_ms(milliseconds: int) -> datetime:
    """Read integer milliseconds since the Unix epoch as an aware UTC instant."""
    seconds, rest = divmod(milliseconds, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1000)


Instant = Annotated[
    datetime,
    AfterValidator(to_milliseconds),
    PlainSerializer(iso_milliseconds, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""An aware UTC instant in milliseconds; ISO 8601 with `Z` in JSON."""
