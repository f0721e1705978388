"""The files of a project: what this version of the framework writes for a name."""

import json
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from agentrun_project.build import ROOT
from agentrun_project.placement import BUILD_FOLDER

DISTRIBUTION = "agentrun-serverless"
EXAMPLE = "helpdesk"
"""The agent that a new project has, besides `echo`, which `agentrun smoke` runs."""
_SKELETON = Path(__file__).resolve().parent / "skeleton"
_FOLLOWED = {
    ".framework/build/Makefile": "build.mk",
    ".github/workflows/ci.yml": "ci.yml",
    ".gitignore": "gitignore",
    "Makefile": "Makefile",
    "samconfig.toml": "samconfig.toml",
}
_STARTERS = {
    "README.md": "README.in",
    "agents/helpdesk.yaml": "agents/helpdesk.yaml",
    "pyproject.toml": "pyproject.in",
    "requirements.txt": "requirements.txt",
    "tests/test_agents.py": "tests/test_agents.py",
    "tools/__init__.py": "tools/__init__.py",
    "tools/tickets.py": "tools/tickets.py",
}
_EVENTS = ("authorizer.json", "list-agents.json", "run-message.json", "stream-run.json")
_FOLDER = re.compile(r"^( +(?:CodeUri|ContentUri): )((?:functions|layers)/\w+)$", re.MULTILINE)
_SHIPPED_AGENT = "docs_assistant"


def framework_version() -> str:
    """Return the version of the framework that is installed."""
    return version(DISTRIBUTION)


def followed_files(name: str) -> dict[str, str]:
    """
    Return the files that `agentrun upgrade` keeps up with the framework, by their paths.

    Args:
        name: The project's name.
    """
    files = {path: _filled(source, name) for path, source in _FOLLOWED.items()}
    template = (ROOT / "template.yaml").read_text(encoding="utf-8")
    return files | {"template.yaml": _FOLDER.sub(rf"\g<1>{BUILD_FOLDER}", template)}


def starting_files(name: str) -> dict[str, str]:
    """Return the files that are the user's own from the beginning, by their paths."""
    files = {path: _filled(source, name) for path, source in _STARTERS.items()}
    echo = (ROOT / "layers/agents/agents/echo.yaml").read_text(encoding="utf-8")
    return files | {"agents/echo.yaml": echo} | _events()


def placed_resources(template: str) -> Mapping[str, str]:
    """Return the framework's folders by the names of the resources that have them."""
    found: dict[str, str] = {}
    name = ""
    for line in template.splitlines():
        if heading := re.fullmatch(r"  (\w+):", line):
            name = heading[1]
        elif folder := _FOLDER.fullmatch(line):
            found[name] = folder[2]
    return found


def _filled(source: str, name: str) -> str:
    text = (_SKELETON / source).read_text(encoding="utf-8")
    return text.replace("@NAME@", name).replace("@VERSION@", framework_version())


def _events() -> dict[str, str]:
    texts = {name: (ROOT / "events" / name).read_text(encoding="utf-8") for name in _EVENTS}
    event = json.loads(texts["stream-run.json"].replace(_SHIPPED_AGENT, EXAMPLE))
    event["body"] = json.dumps({"message": "My screen stays black."})
    event["headers"]["content-length"] = str(len(event["body"]))
    texts["stream-run.json"] = json.dumps(event, indent=2) + "\n"
    return {f"events/{name}": text for name, text in texts.items()}
