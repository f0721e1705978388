"""The receiver for a laptop prints what arrives, verifies it, and exits accordingly."""

import http.client
import json
import queue
import re
import stat
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agentrun.domain.webhooks import WebhookDelivery, WebhookSecret, signed_headers
from agentrun_local.cli import main
from agentrun_local.machine.webhook_secret import SECRET_FILE, webhook_secret, webhook_variables

SECRET = "whsec_" + b64encode(b"k" * 32).decode()
DELIVERY = WebhookDelivery(
    id="run-1_2",
    type="run.completed",
    run_id="run-1",
    url="http://127.0.0.1/",
    body='{"type":"run.completed","data":{"output":"hi \\u001b[31mred"}}',
)
Post = tuple[Mapping[str, str], bytes]


def signed(secret: str = SECRET, age: timedelta = timedelta()) -> Post:
    signing = [WebhookSecret.read(secret)]
    headers = signed_headers(DELIVERY, signing, at=datetime.now(UTC) - age)
    return headers, DELIVERY.body.encode()


class Listening:
    """The command in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        assert process.stderr is not None
        said = re.search(r"127\.0\.0\.1:(\d+)", process.stderr.readline())
        assert said is not None
        self.port = int(said[1])

    def post(self, post: Post, method: str = "POST") -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers, body = post
        connection.request(method, "/any/path", body, dict(headers))
        status = connection.getresponse().status
        connection.close()
        return status

    def ended(self) -> tuple[int, str]:
        """Return the exit status and what was printed."""
        out, _ = self.process.communicate(timeout=20)
        return self.process.returncode, out


@contextmanager
def listening(*options: str) -> Iterator[Listening]:
    command = [sys.executable, "-m", "agentrun_local.cli", "webhooks", "listen", "--port", "0"]
    with subprocess.Popen(
        [*command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Listening(process)
        finally:
            process.kill()


def test_what_verifies_is_printed_and_answered_as_delivered() -> None:
    with listening("--secret", SECRET, "--count", "1") as command:
        assert command.post(signed()) == 204
        status, out = command.ended()
    assert status == 0
    head, *body = out.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d run\.completed run-1_2 verified", head)
    assert json.loads("\n".join(body))["data"]["output"] == "hi \x1b[31mred"
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("post", "fault"),
    [
        (signed("whsec_" + b64encode(b"x" * 32).decode()), "no signature is of this secret"),
        (signed(age=timedelta(minutes=6)), "more than five minutes"),
        ((signed()[0], b'{"type":"run.failed"}'), "no signature is of this secret"),
        (({}, b"\xff\x1b no JSON"), "a header is missing"),
    ],
)
def test_what_does_not_verify_is_refused_and_makes_the_exit_status_1(
    post: Post, fault: str
) -> None:
    with listening("--secret", SECRET, "--count", "2") as command:
        assert command.post(post) == 401
        assert command.post(signed()) == 204
        status, out = command.ended()
    assert status == 1
    assert f"NOT VERIFIED: {fault}" in out.splitlines()[0] or fault in out.splitlines()[0]
    assert "\x1b" not in out


def test_other_programs_read_lines_of_json() -> None:
    with listening("--secret", SECRET, "--count", "1", "--json") as command:
        command.post(signed())
        _, out = command.ended()
    (line,) = out.splitlines()
    said = json.loads(line)
    assert (said["id"], said["verified"], said["fault"]) == ("run-1_2", True, None)
    assert said["body"]["type"] == "run.completed"


def test_other_methods_are_not_webhooks() -> None:
    with listening("--secret", SECRET, "--count", "1") as command:
        assert command.post(({}, b""), method="GET") == 501
        assert command.post(({"Content-Length": "99999999999"}, b"")) == 413
        command.post(signed())
        assert command.ended()[0] == 0


def test_two_at_once_are_printed_one_after_the_other() -> None:
    answers: queue.Queue[int] = queue.Queue()
    with listening("--secret", SECRET, "--count", "8", "--json") as command:
        threads = [
            threading.Thread(target=lambda: answers.put(command.post(signed()))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        _, out = command.ended()
    assert [json.loads(line)["verified"] for line in out.splitlines()] == [True] * 8


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--secret", "hunter2"], "--secret: a webhook secret begins with whsec_."),
        (["--secret", "whsec_x"], "--secret: a webhook secret is base64"),
        (["--port", "70000", "--secret", SECRET], "Cannot listen on port 70000"),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_1(
    options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["webhooks", "listen", *options]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line
    assert "hunter2" not in line


def test_the_machines_own_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / ".agentrun"
    secret = webhook_secret(folder)
    assert webhook_secret(folder) == secret
    assert len(WebhookSecret.read(secret).key) == 32
    assert stat.S_IMODE((folder / SECRET_FILE).stat().st_mode) == 0o600
    assert webhook_variables(folder)["AGENTRUN_WEBHOOK_SECRETS"] == secret
