"""Add to the wheel what projects are built from, and a checkout has outside of its packages."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FILES = (
    "events",
    "layers/agents/agents/echo.yaml",
    "layers/streaming/bootstrap",
    "template.yaml",
    *(f"requirements/{layer}.txt" for layer in ("core", "engine", "streaming", "providers")),
)
PLACE = "agentrun_project/files"
"""Where `agentrun_project/build.py` looks for them."""


class WheelFiles(BuildHookInterface):  # type: ignore[type-arg] # its argument is hatch's own affair
    """The hook; an editable install needs nothing, it finds the checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the files and their places in the wheel."""
        if version == "editable":
            return
        root = Path(self.root)
        handlers = (path.relative_to(root) for path in root.glob("functions/*/app.py"))
        for name in (*FILES, *map(str, handlers)):
            build_data["force_include"][str(root / name)] = f"{PLACE}/{name}"
