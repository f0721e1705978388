"""An agent whose tool needs a package is added in the user's room alone, and works deployed."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.artefacts import Artefacts, copy_sources, invoke, sam
from tests.integration.conftest import event_file

ROOM = "layers/agents"
# No layer, and nothing else of the project, needs this package.
PACKAGE = "humanize"
ADDED = {
    f"{ROOM}/agents/sizes.yaml": (
        "name: Sizes\ndescription: Tells sizes.\ntools: ['tools.sizes:tell_size']\n"
    ),
    f"{ROOM}/tools/sizes.py": f'''\
"""Sizes as people say them."""

import {PACKAGE}


def tell_size(size_bytes: int) -> str:
    """
    Tell a size as people do.

    Args:
        size_bytes: How many bytes.
    """
    return str({PACKAGE}.naturalsize(size_bytes))
''',
}
REQUIREMENTS = f"{ROOM}/requirements.txt"
CALL = '/call tell_size {"size_bytes": 1500000}'


def contents(project: Path) -> dict[str, str]:
    """Hash every file of a copy, but for what is built in it."""
    return {
        path.relative_to(project).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for name in sorted(path.name for path in project.iterdir() if path.name[0] != ".")
        for path in (project / name, *(project / name).rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    }


def asked(agent: str, message: str) -> dict[str, Any]:
    """Return the Function URL's event for a message to an agent."""
    event = event_file("stream-run.json")
    event["rawPath"] = event["requestContext"]["http"]["path"] = f"/api/agents/{agent}/runs/stream"
    event["body"] = json.dumps({"message": message})
    event["headers"]["content-length"] = str(len(event["body"]))
    return event


# It resolves the locks and builds once more.
@pytest.mark.timeout(600)
def test_a_tool_that_needs_a_package_touches_the_users_room_only(
    runtime: str, environment: dict[str, str], tmp_path: Path
) -> None:
    copy_sources(tmp_path)
    before = contents(tmp_path)
    for name, text in ADDED.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    with (tmp_path / REQUIREMENTS).open("a", encoding="utf-8") as requirements:
        requirements.write(f"{PACKAGE}>=4\n")
    # `make lock`, without the environment that it makes first.
    subprocess.run([sys.executable, "requirements/lock.py"], cwd=tmp_path, check=True)
    after = contents(tmp_path)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    locks = {f"requirements/{name}.txt" for name in ("agents", "bench", "dev")}
    assert changed == {*ADDED, REQUIREMENTS, *locks}
    sam("build", project=tmp_path)
    answer = invoke(
        runtime, Artefacts(tmp_path), "StreamFunction", asked("sizes", CALL), environment
    )["answer"]
    assert answer["statusCode"] == 200
    assert "1.5 MB" in answer["body"]
    assert '"event":"STOP"' in answer["body"]
