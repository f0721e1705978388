"""Where the folders of a template are: some resources of a project are the framework's."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agentrun_project.build import ROOT, part_named

BUILD_FOLDER = ".framework/build"
"""What a project's template names in place of the framework's folders; it has a Makefile only."""

# SAM's translation gives every content of a layer a name of its own.
_HASH_OF_A_LAYER = re.compile(r"(?<=Layer)[0-9a-f]{10}$")


def source_folder(project: Path, logical_id: str, uri: str) -> Path:
    """
    Return the folder that has a function's code or a layer's content as Python imports it.

    Args:
        project: The template's folder.
        logical_id: The function or layer.
        uri: Its `CodeUri` or `ContentUri`.

    Raises:
        ValueError: It says that it is the framework's, which has nothing of that name.
    """
    if Path(uri) != Path(BUILD_FOLDER):
        return project / uri
    kind, name = part_named(_HASH_OF_A_LAYER.sub("", logical_id))
    # A project's own agents and tools are in folders of these names.
    return project if name == "agents" else ROOT / f"{kind}s" / name


def agents_folder(project: Path) -> Path:
    """Return the folder of agents' files of a project, or of the framework's own checkout."""
    in_checkout = project / "layers/agents/agents"
    return in_checkout if in_checkout.is_dir() else project / "agents"


@contextmanager
def importing_from(folder: Path) -> Iterator[None]:
    """Let this process find the modules of a folder, as functions find those of their layers."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
