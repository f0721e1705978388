"""Checks of the variables that agents and tools read: where they come from when deployed."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from agentrun_local.check.agents import named_variables
from agentrun_local.check.faults import Fault, line_of
from agentrun_local.check.project import Project

_READERS = frozenset({"variable", "async_variable"})


def check_secrets(project: Project, given: Mapping[str, str]) -> Iterator[Fault]:
    """
    Yield the variables that nothing of the deployment sets.

    A secret's own names are known to AWS alone, so with one nothing is missing as far as is known.

    Args:
        project: The project.
        given: The values of the template's parameters.
    """
    if given.get("SecretsArn"):
        return
    named = [*named_variables(project), *_of_tools(project.tools)]
    for path, line, name in named:
        if not line_of(project.template, f"{name}:"):
            yield Fault(
                path,
                line,
                f"needs the variable {name}, which nothing sets where it is deployed",
                f"Put it into a secret and set SecretsArn in {project.settings.name};"
                " docs/deploy.md, Secrets.",
                is_warning=True,
            )


def _of_tools(tools: Path) -> Iterator[tuple[Path, int, str]]:
    for path in sorted(tools.rglob("*.py")):
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Name(id=reader), args=[ast.Constant(value=str(name)), *_]):
                    if reader in _READERS:
                        yield path, node.lineno, name
