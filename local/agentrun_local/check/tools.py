"""Checks of the tools: their imports, their signatures, and what they ask of AWS."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

from agentrun_local.check.faults import Fault, line_of
from agentrun_local.check.project import Project, distribution_name, requirement_names
from agentrun_local.errors import LocalStackError

LOCKED_LAYERS = ("core", "engine", "agents")
"""Layers that are always attached where agents run, by the names of their locks."""
CALLED_SERVICES = frozenset(
    {"bedrock-runtime", "dynamodb", "s3", "secretsmanager", "sqs", "ssm", "sts"}
)
"""Of which the core layer keeps botocore's descriptions (`agentrun_project/build.py`)."""
TIMEOUT_S = 60


@dataclass(frozen=True)
class Loaded:
    """
    What came of reading the files and importing the tools, as on Lambda.

    `in_files` are the catalogue's messages, `in_tools` what a tool raised, with its place.
    """

    in_files: Sequence[str]
    in_tools: Sequence[Mapping[str, Any]]


def check_tools(project: Project, loaded: Loaded) -> Iterator[Fault]:
    """Yield what keeps tools from being imported on Lambda, and what they lack there."""
    yield from _lock_in_step(project)
    for found in loaded.in_tools:
        yield _fault(project, found)
    for path in sorted(project.tools.rglob("*.py")):
        yield from _services(project, path)


def provided(project: Project) -> frozenset[str]:
    """Return the names of the distributions that the layers have."""
    names: set[str] = set()
    for layer in LOCKED_LAYERS:
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


def load(project: Project) -> Loaded:
    """
    Read the agents' files and import their tools, in a process of its own.

    Raises:
        LocalStackError: A module does not end its import within a minute, or ends the process.
    """
    question = {
        "agents": str(project.agents),
        "tools": str(project.tools),
        "provided": sorted(provided(project)),
    }
    try:
        # Warnings and logs of the modules go their own way, to standard error.
        done = subprocess.run(
            [sys.executable, "-P", "-m", "agentrun_local.check.in_layers"],
            input=json.dumps(question),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
            env={**os.environ, "PYTHONPATH": str(project.room)},
        )
    except subprocess.TimeoutExpired as error:
        raise LocalStackError(f"The tools' imports do not end within {TIMEOUT_S} s.") from error
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        raise LocalStackError(
            f"The tools cannot be imported: exit status {done.returncode}. {last}"
        )
    found = json.loads(done.stdout.rstrip().rpartition("\n")[2])
    return Loaded(found["files"], found["tools"])


def _fault(project: Project, found: Mapping[str, Any]) -> Fault:
    if found["path"]:
        path, line = Path(found["path"]), found["line"]
    else:
        path, line = project.agents / f"{found['agent']}.yaml", 0
    module, distribution = found["module"], found["distribution"]
    lock = " and run `make lock`" if project.has_own_lock else ""
    named = project.requirements.relative_to(project.root)
    if module and distribution:
        said = f"imports '{module}', which is installed here but is in no layer"
        return Fault(path, line, said, f"Add '{distribution}' to {named}{lock}.")
    if module and distribution == "":
        said = f"imports '{module}', which Python 3.13 no longer has"
        return Fault(path, line, said, "Use another module; Lambda runs Python 3.13.")
    if module and not module.startswith("tools"):
        said = f"imports '{module}', which is not installed"
        return Fault(path, line, said, f"Add the package that has it to {named}{lock}.")
    remedy = "Mend the module; `make dev` says the same when the agent is run."
    return Fault(path, line, found["said"], remedy)


def _services(project: Project, path: Path) -> Iterator[Fault]:
    """Yield the AWS services that a module asks boto3 for and cannot use as it is."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or (service := _service_of(node)) is None:
            continue
        if service not in CALLED_SERVICES:
            yield Fault(
                path,
                node.lineno,
                f"uses the AWS service '{service}', whose description is not in the layers",
                f"Add 'boto3' and 'botocore' of your own, or '{service}' to BOTOCORE_SERVICES in"
                " local/agentrun_project/build.py.",
            )
        elif not line_of(project.template, f"{_action_prefix(service)}:"):
            yield Fault(
                path,
                node.lineno,
                f"uses the AWS service '{service}', of which the functions' roles allow nothing",
                f"Add a statement to the policies of StreamFunction and WorkerFunction in"
                f" {project.template.name}.",
                is_warning=True,
            )


def _service_of(node: ast.Call) -> str | None:
    """Return the service that a call of `client` or `resource` names."""
    match node:
        case ast.Call(
            func=ast.Attribute(attr="client" | "resource"), args=[ast.Constant(value=str(name)), *_]
        ):
            return name
    return None


def _action_prefix(service: str) -> str:
    return "bedrock" if service == "bedrock-runtime" else service
