"""From a plain function to a tool of a pydantic-ai agent, whose failures the run survives."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from inspect import Parameter, Signature, iscoroutinefunction, signature
from typing import Any, get_type_hints

from pydantic_ai import RunContext, Tool, ToolFailed

from agent_catalog.session import Session
from agent_catalog.tool_output import bounded
from agent_catalog.tool_reference import split_reference
from agent_catalog.tools.errors import ToolInputError

_log = logging.getLogger(__name__)


def bind_tool(reference: str, *, needs_approval: bool) -> Tool[Session]:
    """
    Import a tool's function and give it to an agent.

    Whatever the function raises, the model sees that the call failed and the run goes on. A tool
    that needs approval is refused: nobody can be asked yet, and it must never run unasked.
    """
    module, name = split_reference(reference)
    function: Callable[..., Any] = getattr(import_module(module), name)
    return Tool(_refusing(function) if needs_approval else _guarded(function), name=name)


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    if iscoroutinefunction(function):

        @wraps(function)
        async def call(context: RunContext[Session], **arguments: Any) -> Any:
            with _failures_shown(function.__name__):
                return bounded(await function(*_leading(context), **arguments))
    else:

        @wraps(function)
        def call(context: RunContext[Session], **arguments: Any) -> Any:
            with _failures_shown(function.__name__):
                return bounded(function(*_leading(context), **arguments))

    takes_session = _takes_session(function)

    def _leading(context: RunContext[Session]) -> tuple[Session, ...]:
        return (context.deps,) if takes_session else ()

    return _with_context(call, function)


def _refusing(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    async def refuse(context: RunContext[Session], **arguments: Any) -> Any:  # noqa: ARG001
        raise ToolFailed(f"'{function.__name__}' needs an approval that cannot be asked for here.")

    return _with_context(refuse, function)


def _with_context(call: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a wrapper the function's parameters, the session's place taken by pydantic-ai's own."""
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
    except ToolInputError as error:
        raise ToolFailed(str(error)) from error
    except Exception as error:
        # Only the log may see what an unexpected exception says.
        _log.exception("The tool %s failed", tool)
        raise ToolFailed("The tool has failed.") from error
