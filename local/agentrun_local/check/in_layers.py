"""
Read agents' files and import their tools with nothing on the path but what the layers have.

A process of its own: `python -m agentrun_local.check.in_layers` reads a question from its standard
input as JSON, and writes what it finds into a file that the question names: a line of JSON for each
fault, at once, so that what was found is not lost if a module ends the process.
"""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType
from typing import Any

from agent_catalog.agent_file import AgentFile
from agent_catalog.binding.tool import bind_tool
from agent_catalog.catalog import load_catalog
from agent_catalog.running.build import build_agent
from agent_catalog.tool_names import ToolReferenceError, split_reference
from agentrun_local.check.agents import readable
from agentrun_local.check.imports import imports_of
from agentrun_local.check.project import distribution_name
from agentrun_local.check.trial import Found, Trial

GONE = frozenset(
    (
        *("aifc", "asynchat", "asyncore", "audioop", "cgi", "cgitb", "chunk", "crypt"),
        *("distutils", "imghdr", "imp", "lib2to3", "mailcap", "msilib", "nis", "nntplib"),
        *("ossaudiodev", "pipes", "smtpd", "sndhdr", "spwd", "sunau", "telnetlib", "uu", "xdrlib"),
    )
)
"""What Python 3.12 and 3.13 have removed (PEP 594 and "What's New in Python 3.12")."""
_OURS = frozenset({"agentrun", "agent_catalog", "tools", "agents"})


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
    hidden = hidden_packages(frozenset(asked["provided"]), _OURS)
    sys.meta_path[:] = [LayersOnly(finder, frozenset(hidden)) for finder in sys.meta_path]
    tools = Path(asked["tools"])
    with Path(asked["answer"]).open("w", encoding="utf-8") as answer:

        def note(kind: str, content: Any) -> None:
            answer.write(json.dumps({kind: content}) + "\n")
            answer.flush()

        skipped = frozenset(asked["skipped"])
        trial = Trial(tools, hidden, note, skipped=skipped, limit_s=asked["limit_s"])
        for kind, found in _answers(Path(asked["agents"]), tools, hidden, trial):
            note(kind, found)
        note("is_whole", True)


def _answers(
    agents: Path, tools: Path, hidden: dict[str, str], trial: Trial
) -> Iterator[tuple[str, Any]]:
    if (tools / "__init__.py").is_file() and (fault := trial.module("tools")):
        yield "tool", fault
        # Without what it would do, so that its modules can be looked at.
        sys.modules["tools"] = ModuleType("tools")
        sys.modules["tools"].__path__ = [str(tools)]
    in_files: list[str] = []
    broken: set[str] = set()

    def read() -> None:
        catalog = load_catalog("demo", agents, on_fault=in_files.append)
        broken.update(agent.id for agent in catalog.agents() if agent.fault is not None)

    # Looking for a module imports the packages that it is in.
    if fault := trial.of("agents", read):
        yield "tool", fault
    yield from (("file", text) for text in in_files)
    for path, _, file in readable(agents):
        for found in _of_agent(path.stem, file, trial, is_broken=path.stem in broken):
            yield "tool", found | {"agent": path.stem}
    yield from (("import", found) for found in imports_of(tools, hidden, _OURS))


def _of_agent(agent_id: str, file: AgentFile, trial: Trial, *, is_broken: bool) -> Iterator[Found]:
    references = [*file.tools, *filter(None, (file.agent, file.graph, file.deps))]
    faults = [fault for name in _modules(references) if (fault := trial.module(name))]
    if is_broken:
        # The catalogue says what is wrong with the file, and that a module is not there.
        yield from (fault for fault in faults if fault.get("path"))
        return
    if not faults:
        bound = (trial.of(name, partial(_bind, name)) for name in dict.fromkeys(file.tools))
        faults = [fault for fault in bound if fault]
    if not faults and (whole := trial.of(f"{agent_id}.yaml", partial(build_agent, agent_id, file))):
        # Of what is left, such as its capabilities.
        faults = [whole]
    yield from faults


def _modules(references: Sequence[str]) -> Iterator[str]:
    for reference in references:
        try:
            yield split_reference(reference)[0]
        except ToolReferenceError:
            # The catalogue says so.
            continue


def _bind(reference: str) -> None:
    bind_tool(reference, needs_approval=False, timeout_s=None)


if __name__ == "__main__":
    main()
    # Without what a module has left behind: threads, and functions that are called at exit.
    os._exit(0)
