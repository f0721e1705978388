"""Answers of a real stack with the demo model, for the document to show."""

import json
from functools import cache
from pathlib import Path
from typing import Any


@cache
def examples() -> dict[str, Any]:
    """Give them by name: `run`, `result`, …; `events` by their type, `problems` by their name."""
    found: dict[str, Any] = json.loads(Path(__file__).with_name("examples.json").read_text())
    return found
