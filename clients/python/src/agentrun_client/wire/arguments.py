"""
What callers pass, checked as it is written to a request.

A type checker sees all of this, but most scripts and notebooks have none. An option whose name is
misspelt would change nothing and be missed.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar, cast

from agentrun_client.models.requests import StartOptions

T = TypeVar("T")


def of_kind(kind: type[T], name: str, value: object) -> T:
    """
    Return an argument that has to be of a class.

    Raises:
        TypeError: It is something else, such as a dictionary; names the argument and both classes.
    """
    if isinstance(value, kind):
        return value
    raise TypeError(f"`{name}` takes {kind.__name__}, not {type(value).__name__}")


def all_of_kind(kind: type[T], name: str, values: object) -> list[T]:
    """
    Return an argument that has to be a sequence of a class.

    Raises:
        TypeError: It is no sequence, or has something else in it.
    """
    found = type(values).__name__
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise TypeError(f"`{name}` takes a sequence of {kind.__name__}, not {found}")
    each = enumerate(cast("Iterable[object]", values))
    return [of_kind(kind, f"{name}[{place}]", value) for place, value in each]


def checked_options(options: StartOptions) -> StartOptions:
    """
    Return options that a run can be started with.

    Raises:
        TypeError: There is no such option.
    """
    known = StartOptions.__optional_keys__
    for name in options:
        if name not in known:
            raise TypeError(f"there is no option `{name}`, only {', '.join(sorted(known))}")
    return options
