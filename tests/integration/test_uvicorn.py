"""The stream function's app is plain ASGI: any server gives the same frames."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.conftest import ENVIRONMENT, AppModule, Bearer, event_file
from tests.server_process import free_port, running_server

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def uvicorn(dynamodb_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    scratch = tmp_path_factory.mktemp("uvicorn")
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "functions.stream.app:app", "--port", str(port)]
    environment = ENVIRONMENT | {
        "PATH": os.environ["PATH"],
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL_DYNAMODB": dynamodb_url,
    }
    log = scratch / "uvicorn.log"
    with running_server(command, port, environment=environment, cwd=ROOT, log=log):
        yield f"http://127.0.0.1:{port}"


def without_what_differs(body: str) -> list[tuple[str, str]]:
    """Return the frames of a stream without the run's own ids, times and durations."""
    frames: list[Any] = [
        json.loads(line.removeprefix("data: "))
        for line in body.split("\n")
        if line.startswith("data: ")
    ]
    own = {"START", "METRICS", "STOP"}
    return [(f["event"], "" if f["event"] in own else f["data"]) for f in frames]


def test_uvicorn_gives_the_frames_that_the_lambda_handler_gives(
    uvicorn: str, app_module: AppModule, bearer: Bearer
) -> None:
    event = event_file("stream-run.json")
    handler = app_module("stream").handler
    buffered = handler(event, None)
    handler.close()
    answer = httpx.post(
        f"{uvicorn}{event['rawPath']}",
        content=event["body"],
        headers=bearer() | {"Content-Type": "application/json"},
        timeout=30,
    )
    assert answer.status_code == buffered["statusCode"] == 200
    frames = without_what_differs(answer.text)
    assert frames == without_what_differs(buffered["body"])
    assert [frames[0][0], frames[-1][0]] == ["START", "STOP"]
