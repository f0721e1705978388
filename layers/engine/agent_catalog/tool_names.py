"""What tools are called: references to functions, and names that every provider takes."""

import ast
import hashlib
import importlib
import importlib.util
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any

from agentrun.domain.agents import AgentTool, Replay

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_REFERENCE = re.compile(r"(?P<module>[A-Za-z_][\w.]*):(?P<function>[A-Za-z_]\w*)")


# Bedrock's `toolSpec.name` in botocore's service model, the strictest rule of all providers.
_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
# Anthropic's rule for property names, which Bedrock applies to its models: "Property keys should
# match pattern '^[a-zA-Z0-9_.-]{1,64}$'".
_PROPERTY_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MAX_CHARACTERS = 64
_HASH_CHARACTERS = 8


class ToolReferenceError(ValueError):
    """A reference does not lead to a usable function; the message says why."""


def describe_tool(
    reference: str,
    *,
    approval: Collection[str] = (),
    replay: Mapping[str, Replay] = MappingProxyType({}),
) -> AgentTool:
    """
    Return a tool's name, the first line of its docstring, and what `approval` and `replay` say.

    The source is parsed, not imported: listing agents must not wait for, or fail on, what a tool's
    module imports.

    Raises:
        ToolReferenceError: The reference is malformed, there is no such module or function, the
            function has no docstring (which tells the model what the tool is for), or it or a
            parameter has a name that providers refuse.
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
    return AgentTool(
        name=name,
        description=documented,
        requires_approval=name in approval,
        replay=replay.get(name, Replay.NEVER),
    )


def split_reference(reference: str) -> tuple[str, str]:
    """Return the module's and the function's name, or raise ToolReferenceError."""
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise ToolReferenceError(f"'{reference}' is not of the form 'package.module:function'")
    return match["module"], match["function"]


def imported(reference: str) -> Any:
    """
    Import what a reference leads to; its module may raise anything.

    Raises:
        ImportError: The module, instead of ending, asks the process to exit.
    """
    module, name = split_reference(reference)
    try:
        return getattr(importlib.import_module(module), name)
    except SystemExit as error:
        # A script without a main guard; the process has other agents to run.
        raise ImportError(f"the module '{module}' exits when it is imported") from error


def _refused_names(function: _Function) -> Iterator[str]:
    taken = function.args
    parameters = [
        parameter.arg for parameter in (*taken.posonlyargs, *taken.args, *taken.kwonlyargs)
    ]
    return (name for name in (function.name, *parameters) if not is_tool_name(name))


@cache
def _functions(module: str) -> dict[str, _Function]:
    """Map the names of the functions that a module defines to their source."""
    return {
        node.name: node
        for node in _parsed(_source_of(module)).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def place_of_object(reference: str) -> str:
    """
    Return the file and the line in which a module gives an object its name.

    Raises:
        ToolReferenceError: The reference is malformed, or the module does not exist or gives
            nothing this name.
    """
    module, name = split_reference(reference)
    path = _source_of(module)
    for node in _parsed(path).body:
        if name in _named_by(node):
            return f"{path}:{node.lineno}"
    raise ToolReferenceError(f"the module '{module}' defines no '{name}'")


def _named_by(statement: ast.stmt) -> set[str]:
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return {alias.asname or alias.name.partition(".")[0] for alias in names}
        case _:
            return {
                node.id
                for node in ast.walk(statement)
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            }


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), filename=str(path))
    except SyntaxError as error:
        raise ToolReferenceError(f"{path}:{error.lineno or 1}: {error.msg}") from error
    except (OSError, ValueError, RecursionError) as error:
        # ValueError: not text, such as a compiled module.
        raise ToolReferenceError(f"{path}: cannot be read as Python source") from error


def _source_of(module: str) -> Path:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError as error:
        # Finding a module imports its package, which may lack one of its own imports.
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise ToolReferenceError(_cannot_import(module, error)) from error
        spec = None
    except (Exception, SystemExit) as error:
        raise ToolReferenceError(_cannot_import(module, error)) from error
    if spec is None or spec.origin is None:
        raise ToolReferenceError(f"there is no module '{module}'")
    return Path(spec.origin)


def _cannot_import(module: str, error: BaseException) -> str:
    package = module.rpartition(".")[0]
    at = f"{error.filename}:{error.lineno}: " if isinstance(error, SyntaxError) else ""
    return f"the package '{package}' cannot be imported: {at}{type(error).__name__}: {error}"


def is_tool_name(name: str) -> bool:
    """Return whether every provider accepts this as a tool's name."""
    return _TOOL_NAME.fullmatch(name) is not None


def is_property_name(name: str) -> bool:
    """Return whether every provider accepts this as the name of a tool's parameter."""
    return _PROPERTY_NAME.fullmatch(name) is not None


def plain_tool_name(name: str) -> str:
    """Replace each illegal character with `_`; the result may be too long."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", _without_accents(name))
    return plain if re.search(r"[A-Za-z0-9]", plain) else "tool"


def plain_property_name(name: str, taken: Collection[str]) -> str:
    """Return a similar name that is legal and not taken."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", _without_accents(name)).strip("_.-") or "property"
    if plain != "property" and is_property_name(plain) and plain not in taken:
        return plain
    hashed = (with_hash(plain, name * times) for times in count(1))
    return next(candidate for candidate in hashed if candidate not in taken)


def with_hash(plain: str, name: str) -> str:
    """Shorten a plain name, and make it unique by ending it with the hash of `name`."""
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:_HASH_CHARACTERS]
    return f"{plain[: _MAX_CHARACTERS - _HASH_CHARACTERS - 1]}_{digest}"


def _without_accents(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name)
    return "".join(character for character in decomposed if not unicodedata.combining(character))
