"""The code of docs/webhooks.md takes what we sign, and nothing else."""

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from openai import InvalidWebhookSignatureError
from standardwebhooks import WebhookVerificationError

from agentrun.domain.webhooks import MOST_TRIES, PAUSES, WebhookDelivery, WebhookSecret
from agentrun.domain.webhooks import signed_headers as sign
from tests.documented import ROOT, blocks_of
from tests.integration.webhook_rig import OLD_SECRET, SECRET

PAGE = ROOT / "docs/webhooks.md"
BODY = '{"type":"run.completed","data":{"output":"ünïcödé 🙂"}}'
DELIVERY = WebhookDelivery(
    id="run-1_2", type="run.completed", run_id="run-1", url="https://a.example/", body=BODY
)
SHOW = """
const [secret, headers, body] = %s;
console.log(JSON.stringify(readEvent(secret, headers, body)));
"""


def signed_headers(age: timedelta = timedelta()) -> dict[str, str]:
    """Sign as while the secret is rotated."""
    secrets = [WebhookSecret.read(secret) for secret in (SECRET, OLD_SECRET)]
    return sign(DELIVERY, secrets, at=datetime.now(UTC) - age)


def functions() -> dict[str, Any]:
    """Run the page's blocks of Python."""
    found: dict[str, Any] = {}
    for block in blocks_of(PAGE, "python"):
        exec(block.text, found)  # noqa: S102 - the project's own page
    return found


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
def test_the_python_of_the_page_reads_an_event(secret: str) -> None:
    event = functions()["read_event"](secret, signed_headers(), BODY.encode())
    assert event == json.loads(BODY)
    functions()["check_event"](secret, signed_headers(), BODY.encode())


def test_the_python_of_the_page_refuses_a_forgery() -> None:
    forged = BODY.replace("completed", "failed").encode()
    with pytest.raises(WebhookVerificationError):
        functions()["read_event"](SECRET, signed_headers(), forged)
    with pytest.raises(InvalidWebhookSignatureError):
        functions()["check_event"](SECRET, signed_headers(), forged)


def node(secret: str, headers: dict[str, str], body: str) -> "subprocess.CompletedProcess[str]":
    (block,) = blocks_of(PAGE, "javascript")
    program = block.text.replace("export ", "") + SHOW % json.dumps([secret, headers, body])
    command = [str(shutil.which("node")), "--input-type=module", "-"]
    return subprocess.run(
        command, input=program, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node.js to run it with")
def test_the_javascript_of_the_page_reads_an_event_and_refuses_a_forgery() -> None:
    for secret in (SECRET, OLD_SECRET):
        done = node(secret, signed_headers(), BODY)
        assert json.loads(done.stdout) == json.loads(BODY)
    stranger = "whsec_" + "A" * 44
    for secret, age, body, fault in (
        (SECRET, 0, BODY.replace("completed", "failed"), "not genuine"),
        (stranger, 0, BODY, "not genuine"),
        (SECRET, 6, BODY, "too old"),
    ):
        done = node(secret, signed_headers(timedelta(minutes=age)), body)
        assert done.returncode != 0
        assert fault in done.stderr


def test_the_page_tells_all_pauses() -> None:
    said = " ".join(PAGE.read_text(encoding="utf-8").split())
    units = ((3600, "h"), (60, "min"), (1, "s"))
    shown = [
        next(f"{s // size} {unit}" for size, unit in units if s % size == 0)
        for s in (int(pause.total_seconds()) for pause in PAUSES)
    ]
    assert f"There are {MOST_TRIES} tries, with pauses of " in said
    assert f"{', '.join(shown[:-1])} and {shown[-1]}: a day." in said
