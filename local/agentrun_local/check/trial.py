"""Runs code of a project that may do anything, and notes what keeps it from working."""

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from agent_catalog.catalog import CatalogError
from agent_catalog.tool_names import ToolReferenceError, split_reference
from agentrun_local.check.faults import placed_in_python
from agentrun_local.check.time_limit import TimeLimitError, at_most

Found = dict[str, Any]
"""What was raised: `path`, `line`, `module`, `distribution`, `said` and `kind`, as JSON."""


class Trial:
    """
    Runs one thing after another, each under a name and a time limit.

    The name is noted before, so that it is known what has ended the process, if something does.
    """

    def __init__(
        self,
        tools: Path,
        hidden: Mapping[str, str],
        note: Callable[[str, Any], None],
        *,
        skipped: frozenset[str],
        limit_s: float,
    ) -> None:
        self._tools, self._hidden, self._note = tools, hidden, note
        self._skipped, self._limit_s = skipped, limit_s
        self._modules: dict[str, Found | None] = {}

    def module(self, name: str) -> Found | None:
        """Import a module, only once; return what keeps it from being imported."""
        if name not in self._modules:
            self._modules[name] = self.of(name, partial(importlib.import_module, name))
        return self._modules[name]

    def of(self, name: str, run: Callable[[], object]) -> Found | None:
        """Run something; return what it has raised. What is to be skipped is not run."""
        if name in self._skipped:
            return {"kind": "skipped"}
        self._note("runs", name)
        try:
            with at_most(self._limit_s):
                run()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a tool's module may raise anything
            return self._told(error)
        finally:
            self._note("runs", None)
        return None

    def _told(self, error: BaseException) -> Found:
        chain = list(_causes(error))
        cause = chain[-1]
        path, line = self._place(chain)
        told: Found = {"path": path, "line": line, "module": None, "distribution": None}
        told |= {"kind": _kind(cause), "said": _said(cause)}
        if isinstance(cause, ModuleNotFoundError) and cause.name:
            package = cause.name.partition(".")[0]
            told |= {"module": cause.name, "distribution": self._hidden.get(package)}
        if isinstance(cause, CatalogError) and (placed := placed_in_python(told["said"])):
            told |= {"path": placed[0], "line": placed[1], "said": placed[2]}
        return told

    def _place(self, chain: list[BaseException]) -> tuple[str | None, int]:
        """Return where in the tools an error comes from."""
        cause = chain[-1]
        if isinstance(cause, SyntaxError) and cause.filename:
            return cause.filename, cause.lineno or 1
        for error in reversed(chain):
            frames = traceback.extract_tb(error.__traceback__)
            inside = [frame for frame in frames if Path(frame.filename).is_relative_to(self._tools)]
            if inside:
                return inside[-1].filename, inside[-1].lineno or 0
        return _function_place(cause)


def _causes(error: BaseException) -> Iterator[BaseException]:
    yield error
    while error.__cause__ is not None:
        error = error.__cause__
        yield error


def _kind(cause: BaseException) -> str:
    match cause:
        case TimeLimitError():
            return "hangs"
        case SystemExit():
            return "exits"
    return "raises"


def _said(cause: BaseException) -> str:
    match cause:
        case SyntaxError(msg=str(said)):
            return said
        case CatalogError() | ToolReferenceError():
            return str(cause)
        case SystemExit():
            return repr(cause)
    return f"{type(cause).__name__}: {str(cause).strip().partition(chr(10))[0]}"


def _function_place(error: BaseException) -> tuple[str | None, int]:
    """Return where the function stands whose signature or docstring does not make a tool."""
    trace = error.__traceback__
    while trace is not None:
        reference = trace.tb_frame.f_locals.get("reference")
        function = trace.tb_frame.f_locals.get("function")
        if isinstance(reference, str) and callable(function):
            module, _ = split_reference(reference)
            source = sys.modules[module].__file__
            return source, inspect.getsourcelines(inspect.unwrap(function))[1]
        trace = trace.tb_next
    return None, 0
