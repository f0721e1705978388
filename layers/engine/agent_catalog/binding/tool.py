"""From a plain function to a tool of a pydantic-ai agent, whose failures the run survives."""

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial, wraps
from importlib import import_module
from inspect import Parameter, Signature, iscoroutinefunction, signature
from typing import Any, get_type_hints

import anyio
from anyio.to_thread import run_sync
from pydantic import JsonValue, ValidationError
from pydantic_ai import RunContext, Tool, ToolFailed

from agent_catalog.binding.output import bounded
from agent_catalog.json_form import to_json_value
from agent_catalog.secret_variables import MissingVariableError, SecretsUnavailableError
from agent_catalog.tool_reference import split_reference
from agent_catalog.toolkit import Session, ToolInputError
from agentrun.domain.errors import EngineError, MayNotActError

_log = logging.getLogger(__name__)


def bind_tool(
    reference: str, *, needs_approval: bool, timeout_s: float | None, retries: int | None = None
) -> Tool[Session]:
    """
    Import a tool's function and give it to an agent.

    Whatever the function raises, and if it takes too long, the model sees that the call failed and
    the run goes on. Calls that need approval run one after the other, in the model's order: each
    finds done what the one before it did.

    Raises:
        EngineError: Its module cannot be imported; the cause says why.
    """
    module, name = split_reference(reference)
    function = _imported(module, name)
    return Tool(
        _guarded(function, timeout_s),
        name=name,
        requires_approval=needs_approval,
        sequential=needs_approval,
        max_retries=retries,
    )


def _imported(module: str, name: str) -> Callable[..., Any]:
    try:
        function: Callable[..., Any] = getattr(import_module(module), name)
    except Exception as error:
        raise EngineError(f"The tool '{name}' cannot be loaded.") from error
    return function


def _guarded(function: Callable[..., Any], timeout_s: float | None) -> Callable[..., Any]:
    takes_session = _takes_session(function)
    name = function.__name__

    @wraps(function)
    async def call(context: RunContext[Session], **arguments: Any) -> Any:
        session = (context.deps,) if takes_session else ()
        with _failures_shown(name), _at_most(timeout_s, name):
            result = await _run(partial(function, *session, **arguments), context.deps.before_tool)
            # In here as well: not everything that a function may return has a form in JSON.
            noted = to_json_value(result)
        context.deps.results.add(name, noted)
        return result

    return _with_context(call, function)


async def _run(function: partial[Any], before_tool: Callable[[], None]) -> Any:
    if iscoroutinefunction(function.func):
        before_tool()
        return bounded(await function())

    def run() -> Any:
        # In the thread: one that was free too late must not begin what nobody waits for any more.
        before_tool()
        return bounded(function())

    # A thread cannot be stopped: when nobody waits any more, it ends unheard.
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
    """Copy a function's parameters to its wrapper, pydantic-ai's own in the session's place."""
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
def _failures_shown(tool: str) -> Iterator[None]:
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
        # Only the log may see what an unexpected exception says.
        _log.exception("The tool %s failed", tool)
        raise ToolFailed("The tool has failed.") from error


def argument_faults(
    tool: Tool[Session], arguments: Mapping[str, JsonValue]
) -> Sequence[tuple[str, str]]:
    """Return the arguments that do not fit a tool's parameters, each with the reason."""
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
