"""References to tools, `package.module:function`, read without running the module."""

import ast
import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from agent_catalog.provider_names import is_tool_name
from agentrun.domain.agents import AgentTool

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_REFERENCE = re.compile(r"(?P<module>[A-Za-z_][\w.]*):(?P<function>[A-Za-z_]\w*)")


class ToolReferenceError(ValueError):
    """A reference that leads to no function; the message says where it ends."""


def describe_tool(reference: str) -> AgentTool:
    """
    Tell a tool's name and what it does, the first line of its docstring.

    The source is parsed rather than imported: whoever only lists agents must not pay for, or fail
    on, what a tool's module imports.

    Raises:
        ToolReferenceError: The reference is malformed, or there is no such module or function, or
            the function has no docstring: a model could not know what the tool is for. Or it, or a
            parameter, has a name that providers refuse.
    """
    module, name = split_reference(reference)
    function = _functions(module).get(name)
    if function is None:
        raise ToolReferenceError(f"the module '{module}' defines no function '{name}'")
    documented = (ast.get_docstring(function) or "").partition("\n")[0]
    if not documented:
        raise ToolReferenceError(f"the function '{name}' has no docstring")
    for refused in _refused_names(function):
        raise ToolReferenceError(
            f"the function '{name}': models do not take the name '{refused}', use at most 64 of "
            "A-Z, a-z, 0-9 and _"
        )
    return AgentTool(name=name, description=documented)


def split_reference(reference: str) -> tuple[str, str]:
    """Return module and function name, or raise ToolReferenceError."""
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise ToolReferenceError(f"'{reference}' is not of the form 'package.module:function'")
    return match["module"], match["function"]


def _refused_names(function: _Function) -> Iterator[str]:
    taken = function.args
    parameters = [
        parameter.arg for parameter in (*taken.posonlyargs, *taken.args, *taken.kwonlyargs)
    ]
    return (name for name in (function.name, *parameters) if not is_tool_name(name))


@cache
def _functions(module: str) -> dict[str, _Function]:
    """Map the names of the functions that a module defines to their source."""
    path = _source_of(module)
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except SyntaxError as error:
        raise ToolReferenceError(f"{path}:{error.lineno or 1}: {error.msg}") from error
    except (OSError, ValueError, RecursionError) as error:
        # ValueError: what is no text, such as a compiled module.
        raise ToolReferenceError(f"{path}: cannot be read as Python source") from error
    return {
        node.name: node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def _source_of(module: str) -> Path:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError as error:
        # To find a module its package is imported, and that may lack one of its own imports.
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise ToolReferenceError(_cannot_import(module, error)) from error
        spec = None
    except Exception as error:
        raise ToolReferenceError(_cannot_import(module, error)) from error
    if spec is None or spec.origin is None:
        raise ToolReferenceError(f"there is no module '{module}'")
    return Path(spec.origin)


def _cannot_import(module: str, error: Exception) -> str:
    package = module.rpartition(".")[0]
    at = f"{error.filename}:{error.lineno}: " if isinstance(error, SyntaxError) else ""
    return f"the package '{package}' cannot be imported: {at}{type(error).__name__}: {error}"
