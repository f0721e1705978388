"""The readers that are tried: real packages, each with its recipe of docs/readers.md."""

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PYTHON = ROOT / ".venv/readers/bin/python"
NODE = HERE / "node"
OLDEST_NODE = 18
"""The first with `fetch`."""
OLDEST_JAVA = 17


@dataclass(frozen=True)
class Call:
    """What a recipe is called with."""

    base_url: str
    token: str
    agent: str
    message: str
    key: str
    last_id: str = ""


@dataclass(frozen=True)
class Reader:
    """One reader and the recipe for it."""

    name: str
    language: Literal["Python", "Node", "Java"]
    recipe: Path
    left_open: Path | None = None
    """How it is used where nobody stops it at the end; None for one that never asks again."""
    attaches: bool = False
    """Whether it starts its run by one request and reads it by another."""

    def command(self, call: Call, *, left_open: bool = False) -> Sequence[str | Path]:
        """Return what runs the recipe in a process of its own and prints its events."""
        script = self.recipe
        if left_open:
            assert self.left_open is not None
            script = self.left_open
        if self.language == "Python":
            return [PYTHON, HERE / "python/drive.py", script, json.dumps(vars(call))]
        if self.language == "Node":
            given = {_camel(name): value for name, value in vars(call).items()}
            return ["node", NODE / "drive.mjs", script, json.dumps(given)]
        body = json.dumps({"message": call.message})
        given_in_order = (call.base_url, call.token, call.agent, body, call.key, call.last_id)
        # It lives for seconds: no time for what pays off in minutes.
        options = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
        return ["java", *options, script, *given_in_order]

    @property
    def version(self) -> str:
        """The package's version, as it is pinned; for what comes with a language, its oldest."""
        if self.language == "Java":
            return f"JDK {OLDEST_JAVA}"
        if self.name == "fetch":
            return f"Node {OLDEST_NODE}"
        if self.language == "Node":
            manifest = self.recipe.parent / "package.json"
            pins: dict[str, str] = json.loads(manifest.read_text())["dependencies"]
            return pins[self.name]
        lock = (ROOT / "requirements/readers.txt").read_text()
        (pinned,) = re.findall(rf"^{re.escape(self.name)}==(\S+)", lock, re.MULTILINE)
        return str(pinned)

    def missing(self) -> str | None:
        """Say what is not there to run it with, and how to get it."""
        return _missing(self.language)


@cache
def _missing(language: str) -> str | None:
    set_up = "`make readers` sets it up"
    match language:
        case "Python":
            return None if PYTHON.exists() else f"{PYTHON} is not there; {set_up}"
        case "Java":
            return _too_old("javac", OLDEST_JAVA)
        case _:
            modules = NODE / "node_modules"
            not_there = None if modules.exists() else f"{modules} is not there; {set_up}"
            return _too_old("node", OLDEST_NODE) or not_there


def _too_old(command: str, oldest: int) -> str | None:
    """Say that a command is not there, or is of a major version that is too old."""
    lacking = f"no {command} of version {oldest} or newer is on the PATH"
    if shutil.which(command) is None:
        return lacking
    said = subprocess.run([command, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\d+", said.stdout)
    return lacking if said.returncode != 0 or found is None or int(found[0]) < oldest else None


def _camel(name: str) -> str:
    return re.sub(r"_(.)", lambda match: match[1].upper(), name)


LEFT_OPEN = HERE / "python/left_open"
READERS = (
    Reader("httpx-sse", "Python", HERE / "python/with_httpx_sse.py"),
    Reader("sseclient-py", "Python", HERE / "python/with_sseclient_py.py"),
    Reader(
        "requests-sse",
        "Python",
        HERE / "python/with_requests_sse.py",
        LEFT_OPEN / "requests_sse.py",
    ),
    Reader(
        "aiohttp-sse-client2",
        "Python",
        HERE / "python/with_aiohttp_sse_client2.py",
        LEFT_OPEN / "aiohttp_sse_client2.py",
    ),
    Reader(
        "launchdarkly-eventsource",
        "Python",
        HERE / "python/with_launchdarkly_eventsource.py",
        LEFT_OPEN / "launchdarkly_eventsource.py",
        attaches=True,
    ),
    Reader("fetch", "Node", NODE / "fetch.mjs"),
    Reader("eventsource-parser", "Node", NODE / "eventsource-parser.mjs"),
    Reader(
        "eventsource-client",
        "Node",
        NODE / "eventsource-client.mjs",
        NODE / "left-open/eventsource-client.mjs",
    ),
    Reader(
        "@microsoft/fetch-event-source",
        "Node",
        NODE / "fetch-event-source.mjs",
        NODE / "left-open/fetch-event-source.mjs",
    ),
    Reader("eventsource", "Node", NODE / "eventsource.mjs", NODE / "left-open/eventsource.mjs"),
    Reader(
        "eventsource",
        "Node",
        NODE / "eventsource-3/recipe.mjs",
        NODE / "eventsource-3/left-open.mjs",
        attaches=True,
    ),
    Reader("java.net.http", "Java", HERE / "java/RunAgent.java"),
)
