"""The stream function across a SnapStart snapshot: what it loads before, and renews after it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.http_server import send
from tests.integration.conftest import ENVIRONMENT, EVENTS
from tests.issuer_server import PATH as JWKS_PATH
from tests.issuer_server import Issuer, running_issuer
from tests.lambda_runtime.calls import ScriptedRuntimeApi
from tests.lambda_runtime.process import ROOT, running
from tests.lambda_runtime.server import Connection, Head

pytestmark = pytest.mark.anyio

CREDENTIALS_PATH = "/credentials"
# The hook that is registered first runs last before the snapshot.
HANDLER = """
import sys
from snapshot_restore_py import register_before_snapshot
register_before_snapshot(lambda: print("engine", "pydantic_ai" in sys.modules))
register_before_snapshot(lambda: print("tools", "tools.search" in sys.modules))
from app import handler
"""


class SnapshottingRuntimeApi(ScriptedRuntimeApi):
    """Restores the process only when it is told to."""

    def restore(self) -> None:
        """Answer the call that waits for the restore."""
        super().answer(*self._waiting)

    def answer(self, head: Head, connection: Connection) -> None:
        if head.path.endswith("/restore/next"):
            self._waiting = head, connection
        else:
            super().answer(head, connection)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """Serve an issuer that hands out AWS credentials as well, as Lambda does with SnapStart."""
    with running_issuer() as issuer:
        issuer.add_key("one")
        issuer.published = ("one",)

        def answer(handler: BaseHTTPRequestHandler) -> None:
            if handler.path != CREDENTIALS_PATH:
                issuer.publish(handler)
                return
            credentials = {
                "AccessKeyId": "key",
                "SecretAccessKey": "secret",
                "Token": "token",
                # Nearly over: botocore renews them once they have less than ten minutes.
                "Expiration": (datetime.now(UTC) + timedelta(minutes=1)).isoformat(),
            }
            send(handler, 200, json.dumps(credentials).encode())

        issuer.answer = answer
        yield issuer


def variables(issuer: Issuer, dynamodb_url: str) -> dict[str, str]:
    return {
        **ENVIRONMENT,
        "AGENTRUN_JWT_ISSUER": issuer.url,
        "AGENTRUN_JWKS": "",
        "AGENTRUN_JWKS_URL": issuer.jwks_url,
        "AGENTRUN_ORG_CLAIM": "org_id",
        "AWS_ENDPOINT_URL_DYNAMODB": dynamodb_url,
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": issuer.url + CREDENTIALS_PATH,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
        "PYTHONPATH": str(ROOT / "functions" / "stream"),
        # botocore's own, about Python's dates.
        "PYTHONWARNINGS": "default",
    }


async def test_a_restored_process_has_its_engine_and_renews_what_ages(
    issuer: Issuer, dynamodb_url: str, tmp_path: Path
) -> None:
    (tmp_path / "snap.py").write_text(HANDLER)
    async with SnapshottingRuntimeApi() as api:
        settings = variables(issuer, dynamodb_url)
        async with running(api.address, "snap.handler", tmp_path, **settings) as runtime:
            await api.complete_call("/restore/next")
            assert [await runtime.line(), await runtime.line()] == [
                b"tools True\n",
                b"engine True\n",
            ]
            # The issuer's keys would look as young as the snapshot after days.
            assert JWKS_PATH not in issuer.paths
            asked_before = len(issuer.paths)
            event = (EVENTS / "stream-run.json").read_text()
            api.invoke(json.loads(event.replace("${TOKEN}", issuer.token("one"))))
            api.restore()
            call = await api.complete_call("/response")
    assert call.prelude["statusCode"] == 200
    assert b'"START"' in call.body
    assert b'"STOP"' in call.body
    assert set(issuer.paths[asked_before:]) == {CREDENTIALS_PATH, JWKS_PATH}
