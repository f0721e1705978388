"""Checks of the variables that agents and tools read: where they come from when deployed."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from agentrun_local.check.agents import named_variables
from agentrun_local.check.faults import Fault
from agentrun_local.check.imports import parsed
from agentrun_local.check.origins import Origins
from agentrun_local.check.project import Project
from agentrun_local.errors import TemplateError
from agentrun_local.template.cloudformation import declared_variables

_READERS = frozenset(
    f"agent_catalog.{module}.{name}"
    for module in ("toolkit", "secret_variables")
    for name in ("variable", "async_variable")
)


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
    try:
        declared = declared_variables(project.template)
    except TemplateError:
        # Told with the parameters.
        return
    named = [*named_variables(project), *_of_tools(project.tools)]
    for path, line, name in named:
        if name not in declared:
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
        tree = parsed(path)
        if tree is None:
            # `check_tools` says so.
            continue
        for call, function in Origins(tree).calls():
            match call.args:
                case [ast.Constant(value=str(name)), *_] if function in _READERS:
                    yield path, call.lineno, name
