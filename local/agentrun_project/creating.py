"""`agentrun init`: a new project."""

import re
import shlex
from pathlib import Path

from agentrun_project.errors import ProjectError
from agentrun_project.followed import remember
from agentrun_project.rendering import followed_files, starting_files

# CloudFormation's rule for the names of stacks, in small letters and short enough to add to.
_NAME = re.compile(r"[a-z][a-z0-9-]{0,47}")


def create_project(folder: Path, name: str | None = None) -> str:
    """
    Write a project into a folder, which is made if need be.

    Args:
        folder: A new or empty folder; a `.git` may be in it.
        name: The project's name, which its stacks have too; default: the folder's, made to fit.

    Returns:
        The commands to type next, one a line.

    Raises:
        ProjectError: The folder has something in it, cannot be written, or the name does not do.
    """
    name = name or _fitting(folder.resolve().name)
    if not _NAME.fullmatch(name):
        raise ProjectError(
            f"'{name}' cannot be the name of a project: use at most 48 of a-z, 0-9 and -, and begin"
            " with a letter. To choose another than the folder's: --name NAME"
        )
    try:
        _check_empty(folder)
        followed = followed_files(name)
        for path, text in (followed | starting_files(name)).items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        remember(folder, name, followed)
    except OSError as error:
        raise ProjectError(f"Cannot write {error.filename}: {error.strerror}.") from error
    is_here = folder.resolve() == Path.cwd()
    return "make dev\nmake test" if is_here else f"cd {shlex.quote(str(folder))}\nmake dev"


def _fitting(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _check_empty(folder: Path) -> None:
    if not folder.is_dir():
        if folder.exists():
            raise ProjectError(f"{folder} is a file.")
        return
    if found := sorted(path.name for path in folder.iterdir() if path.name != ".git"):
        raise ProjectError(
            f"{folder} is not empty, it has {', '.join(found[:3])}{' …' * (len(found) > 3)}:"
            " choose a new folder."
        )
