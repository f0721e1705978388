"""What the names in a module stand for, as far as its imports and assignments say."""

import ast
from collections.abc import Iterator


class Origins:
    """
    The names of one module, each with what it stands for: `client` for `boto3.client`.

    Scopes are not told apart: an import in one function counts for the others, too.
    """

    def __init__(self, tree: ast.Module) -> None:
        self._known: dict[str, str] = {}
        self._tree = tree
        for node in ast.walk(tree):
            match node:
                case ast.Import(names=names):
                    for alias in names:
                        package = alias.name.partition(".")[0]
                        self._known[alias.asname or package] = (
                            alias.name if alias.asname else package
                        )
                case ast.ImportFrom(module=str(module), names=names, level=0):
                    for alias in names:
                        self._known[alias.asname or alias.name] = f"{module}.{alias.name}"
        for node in ast.walk(tree):
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    if found := self.of(value):
                        self._known[name] = found

    def of(self, node: ast.expr) -> str | None:
        """Return the dotted name of what an expression leads to, or comes of a call of."""
        match node:
            case ast.Name(id=name):
                return self._known.get(name)
            case ast.Attribute(value=value, attr=attribute):
                found = self.of(value)
                return found and f"{found}.{attribute}"
            case ast.Call(func=function) | ast.Await(value=ast.Call(func=function)):
                return self.of(function)
        return None

    def calls(self) -> Iterator[tuple[ast.Call, str]]:
        """Yield the calls whose function is known, each with the function's dotted name."""
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Call) and (found := self.of(node.func)):
                yield node, found

    def has_package(self, packages: frozenset[str]) -> bool:
        """Return whether the module imports one of these packages, or a part of it."""
        return any(found.partition(".")[0] in packages for found in self._known.values())
