"""Adding agents as docs/agents.md says breaks none of the project's own tests."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documented import ROOT

PAGE = ROOT / "docs/agents.md"
WITH_ITS_PATH = re.compile(
    r"`(?P<path>(?:layers|tests)/[^`\n]+\.(?:yaml|py))`[^`]*?(?:`make [^`\n]+`:)?\n\n"
    r"```(?:yaml|python)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
SOURCES = (
    *(".ci", ".github", "bench", "docs", "events", "findings", "functions"),
    *("clients", "layers", "local", "playground", "requirements", "tests"),
)
WHAT_KNOWS_AGENTS = (
    "tests/unit/agent_catalog",
    "tests/unit/tools",
    "tests/unit/core/test_openapi.py",
    "tests/unit/test_docs.py",
    "tests/unit/test_layer_build.py",
    "tests/integration/test_status_function.py",
    "tests/integration/test_rie_functions.py",
    "tests/contract/test_agent_engine.py",
)


# It runs some 700 tests, in half a minute where nothing else runs.
@pytest.mark.timeout(900)
def test_the_documented_agents_can_be_added(tmp_path: Path) -> None:
    project = tmp_path / "project"
    for name in SOURCES:
        shutil.copytree(
            ROOT / name,
            project / name,
            ignore=shutil.ignore_patterns("__pycache__", "*.pyc", "node_modules"),
        )
    for file in [*ROOT.glob("*.*"), ROOT / "LICENSE", ROOT / "Makefile"]:
        if file.is_file():
            shutil.copy(file, project)
    added = WITH_ITS_PATH.findall(PAGE.read_text(encoding="utf-8"))
    assert len(added) >= 5
    for path, text in added:
        assert not (project / path).exists()
        (project / path).write_text(text, encoding="utf-8")
    packages = [project / "layers" / name for name in ("core", "engine", "agents", "streaming")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *WHAT_KNOWS_AGENTS],
        cwd=project,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [*packages, project / "local"]))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
