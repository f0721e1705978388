"""The runtime under AWS's own Runtime Interface Emulator, the binary that ships with SAM CLI."""

import json
import os
import platform
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from tests.lambda_http_events import function_url_event
from tests.lambda_runtime.process import APPS, ROOT

MACHINE = {"x86_64": "x86_64", "aarch64": "arm64"}.get(platform.machine(), "")
BINARY = Path(str(files("samcli"))) / "local" / "rapid" / f"aws-lambda-rie-{MACHINE}"

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not BINARY.exists(), reason="the emulator is a Linux binary"
)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    # The binary in the package is not executable, and the package is not ours to change.
    binary = tmp_path_factory.mktemp("rie") / "aws-lambda-rie"
    binary.write_bytes(BINARY.read_bytes())
    binary.chmod(0o755)
    door, runtime_api = f"127.0.0.1:{_free_port()}", f"127.0.0.1:{_free_port()}"
    command = [
        *(str(binary), "--runtime-interface-emulator-address", door),
        *("--runtime-api-address", runtime_api, "--log-level", "error"),
        *(str(ROOT / "layers" / "streaming" / "bootstrap"), sys.executable),
    ]
    env = {**os.environ, "_HANDLER": "app.handler", "LAMBDA_TASK_ROOT": str(APPS)}
    with subprocess.Popen(command, env=env, cwd=APPS, stdout=subprocess.DEVNULL) as process:
        try:
            _wait_until_open(door)
            yield f"http://{door}/2015-03-31/functions/function/invocations"
        finally:
            process.terminate()


def _wait_until_open(address: str) -> None:
    host, port = address.split(":")
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection((host, int(port)), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
        else:
            return


def _invoke(url: str, event: object) -> bytes:
    request = urllib.request.Request(url, json.dumps(event).encode())  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=15) as answer:  # noqa: S310 - loopback
        body: bytes = answer.read()
        return body


def test_the_emulator_takes_prelude_delimiter_and_body(emulator: str) -> None:
    prelude, body = _invoke(emulator, function_url_event("/paced")).split(bytes(8), 1)
    assert json.loads(prelude) == {"statusCode": 200, "headers": {}, "cookies": []}
    assert body == b"onetwothreeabcdend"


@pytest.mark.parametrize(
    ("path", "method", "query", "status"),
    [
        ("/bare", "GET", "status=204", 204),
        ("/bare", "GET", "status=304", 304),
        ("/bare", "GET", "status=307", 307),
        ("/bare", "GET", "status=404", 404),
        ("/bare", "GET", "status=200", 200),
        ("/large", "HEAD", "", 200),
        ("/empty_stream", "GET", "", 200),
        ("/start_only", "GET", "", 200),
    ],
)
def test_the_emulator_takes_an_answer_without_a_body(
    emulator: str, path: str, method: str, query: str, status: int
) -> None:
    prelude, body = _invoke(emulator, function_url_event(path, method, query)).split(bytes(8), 1)
    assert (json.loads(prelude)["statusCode"], body) == (status, b" ")


def test_the_emulator_takes_trailers_behind_a_prelude(emulator: str) -> None:
    answer = _invoke(emulator, function_url_event("/die_after_prelude"))
    assert answer.split(bytes(8), 1)[1].startswith(b" ")
    assert json.loads(_invoke(emulator, function_url_event("/echo")).split(bytes(8), 1)[1])


def test_the_emulator_takes_an_error_before_the_first_byte(emulator: str) -> None:
    report = json.loads(_invoke(emulator, function_url_event("/fail_early")))
    assert (report["errorType"], report["errorMessage"]) == ("ValueError", "before anything")


def test_the_emulator_takes_trailers_however_long_the_error(emulator: str) -> None:
    answer = _invoke(emulator, function_url_event("/fail_midway", query="long"))
    assert answer.split(bytes(8), 1)[1].startswith(b"some")


def test_the_emulator_serves_on_after_errors(emulator: str) -> None:
    _invoke(emulator, function_url_event("/fail_early"))
    answer = _invoke(emulator, function_url_event("/echo"))
    assert json.loads(answer.split(bytes(8), 1)[1])["path"] == "/echo"
