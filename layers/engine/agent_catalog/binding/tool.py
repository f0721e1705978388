"""From a plain function to a tool of a pydantic-ai agent, whose failures the run survives."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial, wraps
from inspect import Parameter, Signature, iscoroutinefunction, signature
from typing import Any, get_type_hints

import anyio
from anyio.to_thread import run_sync
from pydantic import JsonValue, ValidationError
from pydantic_ai import RunContext, Tool, ToolFailed
from pydantic_core import to_json

from agent_catalog.json_form import to_json_value
from agent_catalog.secret_variables import MissingVariableError, SecretsUnavailableError
from agent_catalog.tool_names import imported, split_reference
from agent_catalog.toolkit import Session, ToolInputError
from agentrun.domain.errors import EngineError, MayNotActError

MAX_RESULT_BYTES = 64 * 1024
# pydantic's JSON parser takes 200 levels, and a result is nested in a conversation's messages.
MAX_RESULT_DEPTH = 64
_log = logging.getLogger(__name__)


def bind_tool(
    reference: str, *, needs_approval: bool, timeout_s: float | None, retries: int | None = None
) -> Tool[Session]:
    """
    Import a tool's function and wrap it for an agent.

    If the function raises or takes too long, the model sees that the call failed, and the run goes
    on. Calls that need approval run one after the other in the model's order, so that each sees the
    effects of those before it.

    Raises:
        EngineError: The module cannot be imported; the cause says why.
    """
    _, name = split_reference(reference)
    function = _imported(reference, name)
    return Tool(
        _guarded(function, timeout_s),
        name=name,
        requires_approval=needs_approval,
        sequential=needs_approval,
        max_retries=retries,
    )


def _imported(reference: str, name: str) -> Callable[..., Any]:
    try:
        function: Callable[..., Any] = imported(reference)
    except Exception as error:
        raise EngineError(f"The tool '{name}' cannot be loaded.") from error
    return function


def _guarded(function: Callable[..., Any], timeout_s: float | None) -> Callable[..., Any]:
    takes_session = _takes_session(function)
    name = function.__name__

    @wraps(function)
    async def call(context: RunContext[Session], **arguments: Any) -> Any:
        called = replace(context.deps, call_id=call_key(context)) if takes_session else None
        session = (called,) if called else ()
        with failures_shown(name), _at_most(timeout_s, name):
            result = await _run(partial(function, *session, **arguments), context.deps.before_tool)
            # Inside the block, because not every result can be written as JSON.
            noted = to_json_value(result)
        context.deps.results.add(name, noted)
        return result

    return _with_context(call, function)


def call_key(context: RunContext[Session]) -> str:
    """Return the id by which a call is known everywhere; its own is unique in its run alone."""
    return f"{context.deps.run_id}/{context.tool_call_id}"


async def _run(function: partial[Any], before_tool: Callable[[], None]) -> Any:
    if iscoroutinefunction(function.func):
        before_tool()
        return bounded(await function())

    def run() -> Any:
        # In the thread, which may have become free only after the run was told to stop.
        before_tool()
        return bounded(function())

    # A thread cannot be stopped: if the run is cancelled, it is abandoned.
    return await run_sync(run, abandon_on_cancel=True)


@contextmanager
def _at_most(timeout_s: float | None, tool: str) -> Iterator[None]:
    with anyio.move_on_after(timeout_s) as scope:
        yield
    if scope.cancelled_caught:
        _log.warning("The tool %s took longer than %g s", tool, timeout_s)
        raise ToolFailed(f"The tool has not answered within {timeout_s:g} s.")


def _with_context(
    call: Callable[..., Awaitable[Any]], function: Callable[..., Any]
) -> Callable[..., Any]:
    """Copy a function's signature to its wrapper, with pydantic-ai's context for the session."""
    hints = get_type_hints(function, include_extras=True)
    parameters = list(signature(function).parameters.values())
    if _takes_session(function):
        hints.pop(parameters.pop(0).name)
    context = Parameter("context", Parameter.POSITIONAL_ONLY, annotation=RunContext[Session])
    call.__dict__["__signature__"] = Signature([context, *parameters])
    call.__annotations__ = {"context": RunContext[Session], **hints}
    return call


def _takes_session(function: Callable[..., Any]) -> bool:
    first = next(iter(signature(function).parameters), None)
    return first is not None and get_type_hints(function).get(first) is Session


@contextmanager
def failures_shown(tool: str) -> Iterator[None]:
    """Turn what a tool raises into a failure that the model sees and the run survives."""
    try:
        yield
    except (ToolFailed, MayNotActError):
        raise
    except ToolInputError as error:
        raise ToolFailed(str(error)) from error
    except (MissingVariableError, SecretsUnavailableError) as error:
        _log.warning("The tool %s failed: %s", tool, error)
        raise ToolFailed("The tool has failed.") from error
    except Exception as error:
        # The text of an unexpected exception is for the log only.
        _log.exception("The tool %s failed", tool)
        raise ToolFailed("The tool has failed.") from error


def argument_faults(
    tool: Tool[Session], arguments: Mapping[str, JsonValue]
) -> Sequence[tuple[str, str]]:
    """Return the names of arguments that do not fit a tool, each with the reason."""
    try:
        tool.function_schema.validator.validate_python(dict(arguments))
    except ValidationError as error:
        return [
            (".".join(map(str, fault["loc"])) or "arguments", _reason(fault))
            for fault in error.errors(include_url=False)
        ]
    return []


def _reason(fault: Mapping[str, Any]) -> str:
    return str(fault["msg"]).rstrip(".")


def bounded(result: Any) -> Any:
    """
    Cut a result to 64 KB, for the model and the stream alike.

    Returns:
        The result itself; if its JSON (or its text) is larger, the first 64 KB of that and its
        size, as text; if it is nested more than 64 levels deep, its JSON as text.
    """
    dumped = result.encode() if isinstance(result, str) else to_json(result, fallback=str)
    if len(dumped) > MAX_RESULT_BYTES:
        kept = dumped[:MAX_RESULT_BYTES].decode(errors="ignore")
        return f"{kept} … [cut: {MAX_RESULT_BYTES} of {len(dumped)} bytes]"
    return dumped.decode() if _is_deep(result) else result


def _is_deep(result: Any) -> bool:
    level: Iterable[Any] = [result]
    for _ in range(MAX_RESULT_DEPTH):
        level = [part for value in level for part in _parts(value)]
        if not level:
            return False
    return True


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else ()
