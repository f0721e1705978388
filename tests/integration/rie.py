"""A function under AWS's Runtime Interface Emulator, the binary that ships with SAM CLI."""

import json
import os
import platform
import shutil
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from tests.server_process import free_port, running_server

ROOT = Path(__file__).resolve().parents[2]
MACHINE = {"x86_64": "x86_64", "aarch64": "arm64"}.get(platform.machine(), "")
BINARY = Path(str(files("samcli"))) / "local" / "rapid" / f"aws-lambda-rie-{MACHINE}"
AVAILABLE = sys.platform == "linux" and BINARY.exists()

Invoke = Callable[[Mapping[str, Any]], bytes]
"""Sends an event to the function; returns the payload of its answer, or the error's JSON."""

FUNCTIONS = ROOT / "functions"
MANAGED_RUNTIME = (sys.executable, "-m", "awslambdaric", "app.handler")
# What Lambda makes of AWS_LAMBDA_EXEC_WRAPPER: the wrapper, then its own command.
EXEC_WRAPPER = (str(ROOT / "layers" / "streaming" / "bootstrap"), *MANAGED_RUNTIME)


@contextmanager
def emulated(
    task_root: Path, command: tuple[str, ...], *, environment: Mapping[str, str], scratch: Path
) -> Iterator[Invoke]:
    """
    Run a function as Lambda would, on loopback.

    Args:
        task_root: The folder with its `app.py`.
        command: Starts its runtime.
        environment: Variables besides those of the emulator.
        scratch: Gets the emulator and the function's log.
    """
    # The binary in the package is not executable, and the package is not ours to change.
    binary = scratch / "aws-lambda-rie"
    if not binary.exists():
        shutil.copy(BINARY, binary)
        binary.chmod(0o755)
    door, runtime_api = free_port(), free_port()
    emulator = [
        *(str(binary), "--runtime-interface-emulator-address", f"127.0.0.1:{door}"),
        *("--runtime-api-address", f"127.0.0.1:{runtime_api}", "--log-level", "error"),
        *command,
    ]
    variables = {
        **{name: os.environ[name] for name in ("PATH", "AWS_REGION", "AWS_DEFAULT_REGION")},
        **{name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")},
        "_HANDLER": "app.handler",
        "LAMBDA_TASK_ROOT": str(task_root),
        **environment,
    }
    log = scratch / f"{task_root.name}.log"
    with running_server(emulator, door, environment=variables, cwd=task_root, log=log):
        yield lambda event: _invoke(door, event)


def _invoke(door: int, event: Mapping[str, Any]) -> bytes:
    url = f"http://127.0.0.1:{door}/2015-03-31/functions/function/invocations"
    request = urllib.request.Request(url, json.dumps(event).encode())
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
        body: bytes = answer.read()
        return body
