"""What an exception says of itself, of what led to it, and of where that happened."""

import re
import sysconfig
import traceback
from collections.abc import Callable, Iterator

from agentrun.domain.errors import AgentrunError

_LONGEST_CHAIN = 10
_PLAIN = frozenset(
    {
        "agent_catalog.catalog.CatalogError",
        "botocore.exceptions.ClientError",
        "lambda_asgi.errors.InitError",
    }
)
"""Whose text quotes nobody; by name, since not every function has all of these packages."""
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_LIBRARIES = ("<frozen ", *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")))


def described(error: BaseException) -> str:
    """
    Describe an exception and what led to it, the first cause first, as Python does.

    No text is in it that may quote what people or models have said.
    """
    parts = []
    for one in _chain(error):
        text = plain_text(one)
        said = f"{_kind(one)}: {text}" if text else _kind(one)
        parts.append("".join([*traceback.format_tb(one.__traceback__), said]))
    return "\n\n".join(reversed(parts))


def in_full(error: BaseException) -> str:
    """
    Describe an exception and what led to it as Python does, texts and all.

    Of the libraries' frames, which are most of them, only the last of each exception is shown.
    """
    whole = traceback.TracebackException.from_exception(error)
    waiting = [whole]
    while waiting:
        one = waiting.pop()
        own = [frame for frame in one.stack[:-1] if not _is_of_library(frame)]
        one.stack = traceback.StackSummary.from_list([*own, *one.stack[-1:]])
        led = (one.__cause__, one.__context__, *(one.exceptions or ()))
        waiting.extend(cause for cause in led if cause is not None)
    return "".join(whole.format())


def first_cause(error: BaseException, text_of: Callable[[BaseException], str]) -> str:
    """
    Tell on one line what it all began with, and where in the project's own code, if it was there.

    Args:
        error: The last exception of a chain.
        text_of: What may be shown of an exception's text.
    """
    *_, first = _chain(error)
    text = " ".join(text_of(first).split())
    said = f"{_kind(first).removeprefix('builtins.')}: {text}".removesuffix(": ")
    place = _place(first)
    return f"{said} ({place})" if place and place not in said else said


def plain_text(error: BaseException) -> str:
    """
    Return what of an exception's text quotes no one; empty where that is not known.

    Our own are worded so, and those of the operating system and of AWS; what Python says of an
    import or of a source file is about code. Of what an HTTP API refused it is status and code.
    """
    if isinstance(error, SyntaxError):
        # A text that was parsed, such as a formula, has no file.
        in_file = error.filename is not None and not error.filename.startswith("<")
        return f"{error.msg} ({error.filename}:{error.lineno})" if in_file else ""
    if isinstance(error, AgentrunError | OSError | ImportError):
        return str(error)
    if not _PLAIN.isdisjoint(f"{kind.__module__}.{kind.__name__}" for kind in type(error).__mro__):
        return str(error)
    return _refusal(error)


def _refusal(error: BaseException) -> str:
    status = getattr(error, "status_code", None)
    if not isinstance(status, int):
        return ""
    code = next(
        (
            found
            for name in ("provider_error_code", "code")
            if isinstance(found := getattr(error, name, None), str) and _CODE.fullmatch(found)
        ),
        None,
    )
    return f"status {status}, code {code}" if code else f"status {status}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, then what led to it; of a group, what is in it."""
    waiting, seen = [error], 0
    while waiting and seen < _LONGEST_CHAIN:
        seen += 1
        one = waiting.pop()
        yield one
        led = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
        if led is not None:
            waiting.append(led)
        if isinstance(one, BaseExceptionGroup):
            waiting.extend(one.exceptions)


def _kind(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"


def _place(error: BaseException) -> str | None:
    """Return file and line of the last frame that is in no library."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _is_of_library(frame)]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else None


def _is_of_library(frame: traceback.FrameSummary) -> bool:
    return frame.filename.startswith(_LIBRARIES)
