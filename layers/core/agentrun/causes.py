"""Describes exceptions for logs: what happened, what caused it, and where."""

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
"""Errors whose text quotes nobody; by name, since not every function has these packages."""
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_LIBRARIES = ("<frozen ", *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")))


def described(error: BaseException) -> str:
    """
    Describe an exception and its causes, the first cause first, as Python does.

    Texts that may quote people or models are left out.
    """
    parts = []
    for one in _chain(error):
        text = plain_text(one)
        said = f"{_kind(one)}: {text}" if text else _kind(one)
        parts.append("".join([*traceback.format_tb(one.__traceback__), said]))
    return "\n\n".join(reversed(parts))


def in_full(error: BaseException) -> str:
    """
    Describe an exception and its causes as Python does, texts included.

    Of libraries' frames, only each exception's last is shown.
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
    Return the first cause on one line, with its place in the project's own code if it has one.

    Args:
        error: The last exception of a chain.
        text_of: Returns what may be shown of an exception's text.
    """
    *_, first = _chain(error)
    text = " ".join(text_of(first).split())
    said = f"{_kind(first).removeprefix('builtins.')}: {text}".removesuffix(": ")
    place = _place(first)
    return f"{said} ({place})" if place and place not in said else said


def plain_text(error: BaseException) -> str:
    """
    Return an exception's text if it quotes nobody, else an empty string.

    Our own texts are safe, and so are those of the operating system, of AWS, and of Python on
    imports and source files. For the refusal of an HTTP API it is status and code.
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
    """Yield an exception and its causes; for a group, also what is in it."""
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
