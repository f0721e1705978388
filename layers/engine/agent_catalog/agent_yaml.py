"""A strict reader of YAML that refuses duplicate keys and knows every line."""

from collections.abc import Sequence
from typing import Any, Self

import yaml

# The C loader is several times faster, which cold starts notice; PyYAML's wheels have it.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YamlFileError(Exception):
    """A text is not YAML, or has a duplicate key; `line` counts from 1, None if it is unknown."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class YamlFile:
    """One YAML document: its content, and the line of each part."""

    def __init__(self, content: Any, root: yaml.Node | None) -> None:
        self.content = content
        self._root = root

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Read a text with one document.

        Raises:
            YamlFileError: It is not YAML, or has a duplicate key, of which YAML's own loader would
                silently take the last.
        """
        try:
            loader = _Loader(text)
            root = loader.get_single_node()
            _refuse_duplicates(root)
            return cls(None if root is None else loader.construct_document(root), root)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            said = error.problem or error.context
            line = mark.line + 1 if mark else None
            raise YamlFileError(f"is not YAML: {said}", line) from error
        except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
            # The last three: an invalid date, or a number or a nesting that Python cannot hold.
            said = str(error).partition("\n")[0]
            raise YamlFileError(f"is not YAML: {said}") from error

    def find(self, location: Sequence[int | str]) -> tuple[tuple[int | str, ...], int]:
        """
        Follow a path of keys and positions, skipping steps that do not exist.

        Returns:
            The steps that exist, and the line of what they lead to.
        """
        node, line = self._root, 1
        steps: list[int | str] = []
        for step in location:
            found = _child(node, step)
            if found is not None:
                steps.append(step)
                at, node = found
                line = at.start_mark.line + 1
        return tuple(steps), line


def _child(node: yaml.Node | None, step: int | str) -> tuple[yaml.Node, yaml.Node] | None:
    """Return the node that a part begins with, and the part."""
    if isinstance(node, yaml.MappingNode):
        # From the end: what a merge key brought comes first, and other keys override it.
        for key, value in reversed(node.value):
            if isinstance(key, yaml.ScalarNode) and key.value == str(step):
                return key, value
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None


def _refuse_duplicates(root: yaml.Node | None) -> None:
    nodes, seen = [root], set[int]()
    while nodes:
        node = nodes.pop()
        if id(node) in seen or not isinstance(node, yaml.CollectionNode):
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            nodes.extend(node.value)
            continue
        first: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            nodes.append(value)
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if (key.tag, key.value) in first:
                before = first[key.tag, key.value]
                raise YamlFileError(f"'{key.value}' appears twice, first in line {before}", line)
            first[key.tag, key.value] = line
