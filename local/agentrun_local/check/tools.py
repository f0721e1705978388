"""Checks of the tools: their imports, their signatures, and whether their packages are locked."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agentrun_local.check.faults import MEND_MODULE, Fault
from agentrun_local.check.imports import syntax_fault
from agentrun_local.check.project import Project, distribution_name, requirement_names
from agentrun_local.errors import LocalStackError

LOCKED_LAYERS = ("core", "engine", "agents")
"""Layers that are always attached where agents run, by the names of their locks."""
OTHER_PROVIDERS = "providers"
"""The layer with the clients of other providers, which not every deployment attaches."""
LIMIT_S = 30.0
"""For the import of one module; Lambda itself allows 10 s for all of a function's imports."""
_TIMEOUT_S = 120.0
_FOR_GRAPHS = "langgraph>=1.2"


@dataclass(frozen=True)
class Loaded:
    """
    What came of reading the files and importing the tools, as on Lambda.

    `in_files` are the catalogue's messages, `in_tools` what a tool raised, with its place, and
    `imports` what is imported somewhere in a module and is not there. `ended` are the names of what
    has ended the process, each with how.
    """

    in_files: list[str] = field(default_factory=list)
    in_tools: list[Mapping[str, Any]] = field(default_factory=list)
    imports: list[Mapping[str, Any]] = field(default_factory=list)
    ended: Mapping[str, str] = field(default_factory=dict)


def check_tools(project: Project, loaded: Loaded) -> Iterator[Fault]:
    """Yield what keeps tools from being imported on Lambda, and what they lack there."""
    yield from _lock_in_step(project)
    for name, how in loaded.ended.items():
        yield _fault_of_end(project, name, how)
    raised = [_fault(project, found) for found in loaded.in_tools if found["kind"] != "skipped"]
    yield from raised
    for path in sorted(project.tools.rglob("*.py")):
        if broken := syntax_fault(path):
            yield Fault(path, *broken, MEND_MODULE)
    # What was raised at the import itself is an error already.
    told = {(fault.path, fault.line) for fault in raised}
    for found in loaded.imports:
        fault = _fault(project, found, is_warning=True)
        if (fault.path, fault.line) not in told:
            yield fault


def provided(project: Project, *, has_other_providers: bool) -> frozenset[str]:
    """Return the names of the distributions that the layers have."""
    names: set[str] = set()
    for layer in (*LOCKED_LAYERS, *((OTHER_PROVIDERS,) if has_other_providers else ())):
        names |= requirement_names(project.locks / f"{layer}.txt").keys()
    if project.has_own_lock:
        return frozenset(names)
    # The build resolves these; here their dependencies are those that are installed.
    waiting = list(requirement_names(project.requirements))
    while waiting:
        name = waiting.pop()
        if name not in names:
            names.add(name)
            waiting += _dependencies(name)
    return frozenset(names)


def _dependencies(name: str) -> list[str]:
    try:
        found = requires(name) or []
    except PackageNotFoundError:
        return []
    plain = (text for text in found if "extra ==" not in text)
    return [distribution_name(_until_version(text)) for text in plain]


def _until_version(requirement: str) -> str:
    return "".join(
        character if character.isalnum() or character in "._-" else " " for character in requirement
    ).split()[0]


def _lock_in_step(project: Project) -> Iterator[Fault]:
    if not project.has_own_lock:
        return
    locked = requirement_names(project.locks / "agents.txt")
    for name, line in requirement_names(project.requirements).items():
        if name not in locked:
            said = (
                f"'{name}' is not in {project.locks.name}/agents.txt, which the layer is built of"
            )
            yield Fault(project.requirements, line, said, "Run `make lock`.")


def load(project: Project, *, has_other_providers: bool = False) -> Loaded:
    """
    Read the agents' files and import their tools, in a process of its own.

    A module that ends the process, or does not end in time, is left out of another attempt.

    Args:
        project: The project.
        has_other_providers: Whether the deployment attaches the layer with their clients.

    Raises:
        LocalStackError: The process ends, or does not end, for another reason.
    """
    question = {
        "agents": str(project.agents),
        "tools": str(project.tools),
        "provided": sorted(provided(project, has_other_providers=has_other_providers)),
        "limit_s": LIMIT_S,
    }
    ended: dict[str, str] = {}
    while True:
        how, notes = _asked(project, question | {"skipped": list(ended)})
        if {"is_whole": True} in notes:
            return Loaded(
                _noted(notes, "file"), _noted(notes, "tool"), _noted(notes, "import"), ended
            )
        running = next(iter(_noted(notes, "runs")[-1:]), None)
        if running is None or running in ended:
            raise LocalStackError(f"The tools cannot be imported: {how}.")
        ended[running] = how


def _asked(project: Project, question: Mapping[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """Return how the process has ended, and what it has noted until then."""
    with TemporaryDirectory() as scratch:
        # Not on its output, on which the modules may print, and which processes that they start
        # may hold open.
        answer, errors = Path(scratch, "answer"), Path(scratch, "errors")
        answer.touch()
        try:
            with errors.open("wb") as written:
                status = subprocess.run(
                    [sys.executable, "-P", "-m", "agentrun_local.check.in_layers"],
                    input=json.dumps({**question, "answer": str(answer)}).encode(),
                    stdout=subprocess.DEVNULL,
                    stderr=written,
                    timeout=_TIMEOUT_S,
                    check=False,
                    env={**os.environ, "PYTHONPATH": str(project.room)},
                ).returncode
            last = errors.read_text(errors="replace").strip().rpartition("\n")[2]
            how = f"exit status {status}" + (f", {last}" if status and last else "")
        except subprocess.TimeoutExpired:
            how = f"no end within {_TIMEOUT_S:g} s"
        lines = answer.read_text(encoding="utf-8").splitlines(keepends=True)
    # The last line may have been cut.
    return how, [json.loads(line) for line in lines if line.endswith("\n")]


def _noted(notes: Sequence[Mapping[str, Any]], kind: str) -> list[Any]:
    return [note[kind] for note in notes if kind in note]


def _fault_of_end(project: Project, name: str, how: str) -> Fault:
    module = project.room / name.partition(":")[0].replace(".", "/")
    places = (module.with_suffix(".py"), module / "__init__.py", project.agents / name)
    path = next((place for place in places if place.is_file()), project.tools)
    return Fault(path, 0, f"ends the process in which it is imported: {how}", _TO_MAIN)


def _fault(project: Project, found: Mapping[str, Any], *, is_warning: bool = False) -> Fault:
    if found["path"]:
        path, line = Path(found["path"]), found["line"]
    else:
        path, line = _file_of(project, found)
    if found["module"] and found["module"].partition(".")[0] != "tools":
        return Fault(path, line, *_missing(project, found), is_warning)
    match found["kind"]:
        case "exits":
            said = f"ends the process in which it is imported: {found['said']}"
            return Fault(path, line, said, _TO_MAIN)
        case "hangs":
            said = f"its import does not end within {LIMIT_S:g} s"
            return Fault(path, line, said, "Do in a function what takes long, or waits for others.")
    return Fault(path, line, found["said"], MEND_MODULE)


def _file_of(project: Project, found: Mapping[str, Any]) -> tuple[Path, int]:
    if "agent" not in found:
        return project.tools, 0
    path = project.agents / f"{found['agent']}.yaml"
    lines = path.read_text(encoding="utf-8").splitlines()
    fields = ("agent:", "graph:")
    return path, next((n for n, line in enumerate(lines, 1) if line.startswith(fields)), 0)


def _missing(project: Project, found: Mapping[str, Any]) -> tuple[str, str]:
    """Return what is said of a module that is not there, and the remedy."""
    module, distribution = found["module"], found["distribution"]
    lock = " and run `make lock`" if project.has_own_lock else ""
    named = project.requirements.relative_to(project.root)
    if distribution == "":
        said = f"imports '{module}', which Python 3.13 no longer has"
        return said, "Use another module; Lambda runs Python 3.13."
    if module.partition(".")[0] == "langgraph" or (
        module == "langchain_core" and not found["path"]
    ):
        said = f"imports '{module}', which is in no layer"
        return said, f"Add '{_FOR_GRAPHS}' to {named}{lock}."
    if distribution is None:
        said = f"imports '{module}', which is not installed"
        return said, f"Add the package that has it to {named}{lock}."
    locked = requirement_names(project.locks / f"{OTHER_PROVIDERS}.txt")
    if distribution_name(distribution) in locked:
        said = f"imports '{module}', which only the layer for other providers has"
        return said, (
            f"Set OtherProviders=true in {project.settings.name}; or leave the model to the agent's"
            " file, docs/models.md."
        )
    said = f"imports '{module}', which is installed here but is in no layer"
    return said, f"Add '{distribution}' to {named}{lock}."


_TO_MAIN = (
    'Put what a script does under `if __name__ == "__main__":`; raise an exception for what is'
    " missing."
)
