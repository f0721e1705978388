"""What the framework wrote into a project, kept beside it: the base of the next upgrade."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agentrun_project.errors import ProjectError
from agentrun_project.rendering import framework_version

_FOLDER = ".framework"
_FACTS = f"{_FOLDER}/project.json"
_BASE = f"{_FOLDER}/base"
# So that nothing takes these copies for what they are copies of.
_SUFFIX = ".base"


@dataclass(frozen=True)
class Followed:
    """A project's name, the version that last wrote its files, and these files as it wrote them."""

    name: str
    version: str
    files: Mapping[str, str]


def remember(project: Path, name: str, files: Mapping[str, str]) -> None:
    """
    Keep what the framework has written, in place of what was kept before.

    Each text is replaced at once, and what is no longer written goes after that, so that there is a
    base of every file at any moment: what is not done can be done again.
    """
    base = project / _BASE
    targets = {base / f"{name_of_file}{_SUFFIX}": text for name_of_file, text in files.items()}
    for target, text in targets.items():
        _replace(target, text)
    for path in base.rglob(f"*{_SUFFIX}"):
        if path not in targets:
            path.unlink()
    facts = {"name": name, "version": framework_version()}
    _replace(project / _FACTS, json.dumps(facts, indent=2) + "\n")


def _replace(target: Path, text: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside it: only within a file system is a file replaced at once.
    written = target.with_name(f"{target.name}.new")
    written.write_text(text, encoding="utf-8")
    written.replace(target)


def remembered(project: Path) -> Followed:
    """
    Return what is kept.

    Raises:
        ProjectError: The folder is not one that `agentrun init` has made.
    """
    try:
        facts = json.loads((project / _FACTS).read_text(encoding="utf-8"))
        base = project / _BASE
        files = {
            path.relative_to(base).as_posix().removesuffix(_SUFFIX): path.read_text(
                encoding="utf-8"
            )
            for path in sorted(base.rglob(f"*{_SUFFIX}"))
        }
        return Followed(str(facts["name"]), str(facts["version"]), files)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ProjectError(
            f"{project.resolve()} is not a project that agentrun init has made: {_FACTS} cannot be"
            " read. It belongs to the project, as what is beside it does: commit both."
        ) from error
