"""
Build a layer or a function for a project made by `agentrun init`, whose `build.mk` runs this.

All parts are the framework's but one: the layer of the project's own agents and tools, with the
packages that these import.
"""

import sys
from pathlib import Path

from agentrun_project.build import build_layer, build_part, command_line
from agentrun_project.errors import ProjectError
from agentrun_project.tool_packages import locked

OWN_LAYER = "AgentsLayer"


def main() -> None:
    """Build what the command line names, into the folder that `sam build` packs."""
    parser = command_line()
    parser.add_argument("--project", type=Path, required=True, help="the project's folder")
    given = parser.parse_args()
    if given.resource != OWN_LAYER:
        build_part(given.resource, given.artifacts, given.architecture)
        return
    try:
        lock = locked(given.project)
    except ProjectError as error:
        # sam build shows a Makefile's standard output, but not its standard error.
        sys.stdout.write(f"{error}\n")
        sys.exit(1)
    build_layer("agents", given.artifacts, given.architecture, room=given.project, lock=lock)


if __name__ == "__main__":
    main()
