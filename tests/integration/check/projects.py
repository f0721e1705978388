"""Projects to check, and what is found in them."""

import json
import shutil
from collections.abc import Mapping
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from agentrun_local.check.command import CheckOptions, run_check
from tests.documented import ROOT

LOCKS, ROOM, SAM = "requirements", "layers/agents", "samconfig.toml"
SETTINGS = (ROOT / "samconfig.toml").read_text(encoding="utf-8")
Found = list[dict[str, str]]
GOOD_TOOL = '''
"""Tools of this project."""

def greet(name: str) -> str:
    """Greet somebody."""
    return f"Hello, {name}."
'''.lstrip()
GOOD_AGENT = """
name: Greeter
description: Greets.
tools:
  - tools.greetings:greet
""".lstrip()


def project(folder: Path, files: Mapping[str, str]) -> Path:
    """Write a project that is good but for these files, as a checkout has it."""
    written = {
        "samconfig.toml": SETTINGS,
        "layers/agents/agents/greeter.yaml": GOOD_AGENT,
        "layers/agents/tools/__init__.py": "",
        "layers/agents/tools/greetings.py": GOOD_TOOL,
        "layers/agents/requirements.txt": "python-dateutil>=2.9\n",
        **files,
    }
    shutil.copy(ROOT / "template.yaml", folder / "template.yaml")
    for name, text in written.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    shutil.copytree(ROOT / LOCKS, folder / LOCKS, ignore=shutil.ignore_patterns("*.py"))
    return folder / "template.yaml"


def checked(template: Path, *, is_strict: bool = False) -> tuple[int, Found]:
    """Check a project; return the exit status and what was found."""
    locks = template.parent / LOCKS
    with redirect_stdout(StringIO()) as printed:
        status = run_check(CheckOptions(template, locks, is_strict=is_strict, as_json=True))
    found: Found = json.loads(printed.getvalue())
    return status, found
