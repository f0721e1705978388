"""The parts of a project, in a checkout of the framework and in a project of one's own."""

import re
from dataclasses import dataclass
from pathlib import Path

from agentrun_local.errors import LocalStackError

_REQUIREMENT = re.compile(r"^\s*(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)")


@dataclass(frozen=True)
class Project:
    """
    Where things are.

    `locks` is the folder of hashed requirement files; `room` has the user's agents and tools.
    """

    template: Path
    room: Path
    locks: Path

    @property
    def root(self) -> Path:
        """The folder of the template."""
        return self.template.parent

    @property
    def agents(self) -> Path:
        """The folder of the agents' files."""
        return self.room / "agents"

    @property
    def tools(self) -> Path:
        """The folder of the tools' modules."""
        return self.room / "tools"

    @property
    def requirements(self) -> Path:
        """The file that says what the tools import."""
        return self.room / "requirements.txt"

    @property
    def settings(self) -> Path:
        """SAM's settings, which have the parameters."""
        return self.root / "samconfig.toml"

    @property
    def has_own_lock(self) -> bool:
        """Whether the tools' packages are pinned beside the framework's, as in its checkout."""
        return self.locks == self.root / "requirements"

    @classmethod
    def beside(cls, template: Path, locks: Path) -> "Project":
        """
        Find the project that a template belongs to.

        Raises:
            LocalStackError: There is no template, or no folder of agents.
        """
        template = template.resolve()
        if not template.is_file():
            raise LocalStackError(f"There is no {template}.")
        rooms = (template.parent / "layers/agents", template.parent)
        for room in rooms:
            if (room / "agents").is_dir():
                return cls(template, room, locks)
        raise LocalStackError(f"There is no folder 'agents' beside {template}.")


def distribution_name(text: str) -> str:
    """Return a name as registries compare names (PEP 503)."""
    return re.sub(r"[-_.]+", "-", text).lower()


def requirement_names(path: Path) -> dict[str, int]:
    """Return the distributions that a requirement file names, each with its line."""
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return {
        distribution_name(found["name"]): number
        for number, line in enumerate(lines, 1)
        if (found := _REQUIREMENT.match(line))
    }
