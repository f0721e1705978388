"""The query parameters of the routes that read, for FastAPI and for the OpenAPI document."""

from typing import Annotated, Literal

from fastapi import Query

MAX_PAGE = 1_000_000
"""Further back than any list goes; with the largest size, within DynamoDB's 32 bits for a limit."""
DEFAULT_SIZE = 20

IncludeInactive = Annotated[
    bool,
    Query(alias="includeInactive", description="Also list the agents that cannot be run."),
]
RunIds = Annotated[
    list[str],
    Query(
        alias="runIds",
        description="Comma separated, repeated, or both; at most 100 distinct ids after dropping "
        "empty ones and duplicates.",
    ),
]
Fields = Annotated[
    Literal["full", "summary"],
    Query(alias="fields", description="`summary` leaves out `input` and `output`."),
]
Size = Annotated[int, Query(alias="size", ge=1, le=100, description="How many at most.")]
Page = Annotated[
    int | None,
    Query(
        alias="page",
        ge=0,
        le=MAX_PAGE,
        description="Which page of this size, from 0; cannot be combined with `cursor`.",
    ),
]
Cursor = Annotated[
    str | None, Query(alias="cursor", description="The `nextCursor` of the page before.")
]
OfAgent = Annotated[
    str | None,
    Query(alias="agentId", max_length=64, description="Only sessions with this agent."),
]
OfUser = Annotated[
    str | None,
    Query(
        alias="userId",
        max_length=256,
        description="Whose sessions; the role `admin` may name others.",
    ),
]
