"""One request to the API, and what its answer is read as."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeAlias, TypeVar
from urllib.parse import quote

T_co = TypeVar("T_co", covariant=True)
Door: TypeAlias = Literal["rest", "stream"]
"""Most paths are served by the REST API alone; those that run an agent by the Function URL, too."""
SILENCE_S = 30.0
"""Pings come every 10 s, so a stream that is silent for longer is cut."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T_co]):
    """
    A request without what belongs to a client: the base URL and the token.

    Attributes:
        read: Reads the body of an answer that is no error; raises `UnreadableError`.
        is_repeatable: Whether sending it again does no harm, whatever became of the first time.
        silence_s: How long to wait for a byte of the answer.
        patience: How often to repeat it at least, if the run that it waits for goes on.
    """

    method: str
    path: str
    read: Callable[[bytes], T_co]
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    door: Door = "rest"
    is_repeatable: bool = True
    needs_token: bool = True
    silence_s: float = SILENCE_S
    patience: int = 0


def path_of(*segments: str) -> str:
    """
    Return a path below the base URL; ids are escaped, so that none can name another path.

    Raises:
        ValueError: A segment is empty, or is `.` or `..`.
    """
    for segment in segments:
        if segment in {"", ".", ".."}:
            raise ValueError(f"{segment!r} cannot be an id")
    return "/" + "/".join(quote(segment, safe="") for segment in segments)


def nothing(_: bytes) -> None:
    """Read an answer whose body says nothing."""
