"""The imports that are written in the tools' modules, also those that run only in a call."""

import ast
import sys
import warnings
from collections.abc import Collection, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_CAUGHT = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})


def imports_of(
    tools: Path, hidden: Mapping[str, str], ours: Collection[str]
) -> Iterator[dict[str, Any]]:
    """
    Yield the imports of modules that are not there, in the form of `trial.Found`.

    An import that a module expects to fail is none, nor is one for type checkers.

    Args:
        tools: The folder of the modules.
        hidden: Importable packages that no layer has, with the names of their distributions.
        ours: Packages that are not looked at.
    """
    for path in sorted(tools.rglob("*.py")):
        tree = parsed(path)
        if tree is None:
            continue
        for line, module in _needed(tree):
            package = module.partition(".")[0]
            if package in ours or _is_there(package, hidden):
                continue
            found = {"module": module, "distribution": hidden.get(package)}
            yield {"path": str(path), "line": line, "kind": "raises", "said": "", **found}


def parsed(path: Path) -> ast.Module | None:
    """Return a module's syntax tree; None if it has a fault, as `syntax_fault` says."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None


def syntax_fault(path: Path) -> tuple[int, str] | None:
    """Return the line and the message of what keeps a module from being compiled, if it is so."""
    try:
        with warnings.catch_warnings(action="ignore"):
            compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        return error.lineno or 1, error.msg
    except (OSError, ValueError, RecursionError):
        return 1, "cannot be read as Python source"
    return None


def _is_there(package: str, hidden: Mapping[str, str]) -> bool:
    if package in hidden:
        return False
    try:
        return package in sys.stdlib_module_names or find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def _needed(node: ast.AST) -> Iterator[tuple[int, str]]:
    match node:
        case ast.Import(names=names):
            yield from ((node.lineno, alias.name) for alias in names)
        case ast.ImportFrom(module=str(module), level=0):
            yield node.lineno, module
        case ast.Try(handlers=handlers) if any(map(_catches_imports, handlers)):
            for part in (*node.orelse, *node.finalbody):
                yield from _needed(part)
        case ast.With(items=items) if any(map(_suppresses_imports, items)):
            return
        case ast.If(test=test) if _is_for_type_checkers(test):
            for part in node.orelse:
                yield from _needed(part)
        case _:
            for child in ast.iter_child_nodes(node):
                yield from _needed(child)


def _catches_imports(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    return any(isinstance(node, ast.Name) and node.id in _CAUGHT for node in ast.walk(handler.type))


def _suppresses_imports(item: ast.withitem) -> bool:
    match item.context_expr:
        case ast.Call(func=ast.Name(id="suppress") | ast.Attribute(attr="suppress"), args=args):
            return any(isinstance(node, ast.Name) and node.id in _CAUGHT for node in args)
    return False


def _is_for_type_checkers(test: ast.expr) -> bool:
    match test:
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return True
    return False
