"""
Read agents' files and import their tools with nothing on the path but what the layers have.

A process of its own: `python -m agentrun_local.check.in_layers` reads a question from its standard
input, and writes what it has found to its standard output, both as JSON.
"""

import inspect
import json
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType
from typing import Any

from agent_catalog.binding.tool import bind_tool
from agent_catalog.catalog import AgentCatalog, load_catalog
from agent_catalog.running.build import build_agent
from agent_catalog.tool_names import split_reference
from agentrun_local.check.project import distribution_name

GONE = frozenset(
    (
        *("aifc", "asynchat", "asyncore", "audioop", "cgi", "cgitb", "chunk", "crypt"),
        *("distutils", "imghdr", "imp", "lib2to3", "mailcap", "msilib", "nis", "nntplib"),
        *("ossaudiodev", "pipes", "smtpd", "sndhdr", "spwd", "sunau", "telnetlib", "uu", "xdrlib"),
    )
)
"""What Python 3.12 and 3.13 have removed (PEP 594 and "What's New in Python 3.12")."""


class LayersOnly(MetaPathFinder):
    """A finder that finds only what a layer has, of what another one finds."""

    def __init__(self, finder: Any, hidden: frozenset[str]) -> None:
        self._finder = finder
        self._hidden = hidden

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module, or none if no layer has its package."""
        if fullname.partition(".")[0] in self._hidden:
            return None
        found: ModuleSpec | None = self._finder.find_spec(fullname, path, target)
        return found


def hidden_packages(provided: frozenset[str], ours: frozenset[str]) -> dict[str, str]:
    """Return the importable packages that no layer has, each with its distribution's name."""
    hidden = {
        package: distributions[0]
        for package, distributions in packages_distributions().items()
        if package not in ours
        and not provided & {distribution_name(name) for name in distributions}
    }
    return hidden | dict.fromkeys(GONE, "")


def main() -> None:
    """Answer one question."""
    asked = json.load(sys.stdin)
    ours = frozenset({"agentrun", "agent_catalog", "tools", "agents"})
    hidden = hidden_packages(frozenset(asked["provided"]), ours)
    sys.meta_path[:] = [LayersOnly(finder, frozenset(hidden)) for finder in sys.meta_path]
    in_files: list[str] = []
    catalog = load_catalog("demo", Path(asked["agents"]), on_fault=in_files.append)
    in_tools = list(_faults(catalog, Path(asked["tools"]), hidden))
    # A tool's module may print at import; the last line is the answer.
    sys.stdout.write("\n" + json.dumps({"files": in_files, "tools": in_tools}) + "\n")


def _faults(catalog: AgentCatalog, tools: Path, hidden: dict[str, str]) -> Iterator[dict[str, Any]]:
    files = {
        agent.id: catalog.definition(agent.id).file
        for agent in catalog.agents()
        if agent.fault is None
    }
    for agent_id, file in files.items():
        references = dict.fromkeys(file.tools)
        broken = [
            fault
            for reference in references
            if (fault := _fault_of(partial(_bind, reference), tools, hidden)) is not None
        ]
        # What is left of it, such as its capabilities.
        whole = (
            _fault_of(partial(build_agent, agent_id, file), tools, hidden) if not broken else None
        )
        for fault in (*broken, *([whole] if whole else [])):
            yield fault | {"agent": agent_id}


def _bind(reference: str) -> None:
    bind_tool(reference, needs_approval=False, timeout_s=None)


def _fault_of(
    build: Callable[[], object], tools: Path, hidden: dict[str, str]
) -> dict[str, Any] | None:
    try:
        build()
    except Exception as error:  # noqa: BLE001 - a tool's module may raise anything
        return _told(error, tools, hidden)
    return None


def _told(error: Exception, tools: Path, hidden: dict[str, str]) -> dict[str, Any]:
    cause = _innermost(error)
    path, line = _place(cause, tools)
    told: dict[str, Any] = {"path": path, "line": line, "module": None, "distribution": None}
    if isinstance(cause, ModuleNotFoundError) and cause.name:
        package = cause.name.partition(".")[0]
        told |= {"module": cause.name, "distribution": hidden.get(package)}
    first = str(cause).strip().partition("\n")[0]
    return told | {"said": f"{type(cause).__name__}: {first}"}


def _innermost(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _place(error: BaseException, tools: Path) -> tuple[str | None, int]:
    """Return where in the tools an error comes from."""
    if isinstance(error, SyntaxError) and error.filename:
        return error.filename, error.lineno or 0
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if Path(frame.filename).is_relative_to(tools)]
    if inside:
        return inside[-1].filename, inside[-1].lineno or 0
    return _function_place(error)


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


if __name__ == "__main__":
    main()
