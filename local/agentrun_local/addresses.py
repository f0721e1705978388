"""Where a running stack is: a file beside its keys, in which the commands look."""

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from agentrun_cli.connection.urls import is_base_url, is_loopback
from agentrun_local.commands.options import state_folder

DEFAULT = ("http://127.0.0.1:8000", "http://127.0.0.1:8001")
"""REST API and Function URL of a stack that was started without options, if it is the only one."""
_FILE = "stack.json"
_CONNECT_S = 2


@dataclass(frozen=True)
class Addresses:
    """The base URLs of a stack's two doors."""

    rest_api: str
    function_url: str


@contextmanager
def announced(addresses: Addresses, template: Path) -> Iterator[None]:
    """
    Let commands find a stack by its template while the context lasts.

    Of several stacks of one template, the one that began last is found.
    """
    path = _file_of(template)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(
        path, {**asdict(addresses), "template": str(template.resolve()), "pid": os.getpid()}
    )
    try:
        yield
    finally:
        if _read(path).get("pid") == os.getpid():
            path.unlink(missing_ok=True)


def running_addresses(template: Path) -> Addresses | None:
    """
    Find the running stack of a template; None if there is none.

    A stack that was killed leaves its file, another one may have its ports since then, and a folder
    may have been copied with the file in it. So the file counts only for its own template, while
    its process lives and its port answers.
    """
    said = _read(_file_of(template))
    found = Addresses(str(said.get("rest_api")), str(said.get("function_url")))
    urls = (found.rest_api, found.function_url)
    # The commands sign tokens for it.
    if not all(is_base_url(url) and is_loopback(url) for url in urls):
        return None
    is_of_template = said.get("template") == str(template.resolve())
    lives = is_of_template and _lives(said.get("pid")) and _answers(found.rest_api)
    return found if lives else None


def write_whole(path: Path, facts: Mapping[str, object]) -> None:
    """Write a JSON file so that a reader who waits for it never sees half of it."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    draft.write_text(json.dumps(facts), encoding="utf-8")
    draft.replace(path)


def _file_of(template: Path) -> Path:
    return state_folder(template) / _FILE


def _read(path: Path) -> Mapping[str, object]:
    """Return what the file says; nothing if it is not there or was not written by a stack."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _lives(pid: object) -> bool:
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def _answers(url: str) -> bool:
    place = urlsplit(url)
    try:
        with socket.create_connection((place.hostname, place.port or 80), _CONNECT_S):
            return True
    except OSError:
        return False
