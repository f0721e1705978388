"""The table of a model's failures: what each comes to for the client and for the run."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.retries.standard import ExponentialBackoff
from starlette.testclient import TestClient

from tests.bedrock import (
    BedrockServer,
    Cut,
    EndOfStream,
    Hold,
    HttpError,
    Reasoning,
    Reply,
    StreamException,
    Text,
    ToolUse,
    bedrock_server,
)
from tests.integration.conftest import AppModule, Bearer
from tests.integration.gateway import Gateway

MODEL = "bedrock:eu.anthropic.claude-haiku-4-5-20251001-v1:0"
IDLE_TIMEOUT_S = 1.0
SAID = Text("It ", "is ")
HALF_A_CALL = ToolUse("t1", "calculate", {"expression": "17 * 23"}, cut_after=12)

BUSY = "The model takes no more requests at the moment; try again in a minute."
SILENT = "The model has not answered in time; try again."
FAILED = "The model has failed; try again."
LOST = "The connection to the model has failed; try again."
UNAVAILABLE = "The model is not available at the moment; try again in a minute."
FORBIDDEN = "This service may not use the model: it lacks credentials, or they do not allow it."
UNKNOWN = "The model does not exist, or not in this region; check its id."
INVALID = "The model has refused the request as invalid; the service's log says why."
TOO_LONG = "The input is too long for the model; shorten it, or start a new session."
QUOTA = "The quota for the model is used up; it has to be raised before it answers again."
FILTERED = "A guardrail or a content filter has stopped the answer; change the request."
NO_TOKENS = "The model ran out of tokens before it had answered; allow it more, or ask for less."
UNUSABLE = "The model gave an answer that cannot be used."


@dataclass(frozen=True)
class Row:
    """A failure, and what becomes of it; no `error_type` is a run that is COMPLETED."""

    failure: str
    answer: Reply | HttpError
    error_type: str | None
    message: str = ""
    attempts: int = 1

    def __str__(self) -> str:
        return self.failure

    @property
    def said(self) -> str:
        steps = self.answer.steps if isinstance(self.answer, Reply) else ()
        return "It is " if SAID in steps else ""


THROTTLED = HttpError(429, "ThrottlingException")
ROWS = [
    Row("throttled", THROTTLED, "MODEL_THROTTLED", BUSY, attempts=3),
    Row("quota used up", HttpError(400, "ServiceQuotaExceededException"), "MODEL_QUOTA", QUOTA),
    Row(
        "unavailable",
        HttpError(503, "ServiceUnavailableException"),
        "MODEL_ERROR",
        UNAVAILABLE,
        attempts=3,
    ),
    Row(
        "server error", HttpError(500, "InternalServerException"), "MODEL_ERROR", FAILED, attempts=3
    ),
    Row("invalid request", HttpError(400, "ValidationException"), "MODEL_ERROR", INVALID),
    Row(
        "input too long",
        HttpError(400, "ValidationException", "Input is too long for requested model."),
        "MODEL_ERROR",
        TOO_LONG,
    ),
    Row("access denied", HttpError(403, "AccessDeniedException"), "MODEL_ERROR", FORBIDDEN),
    Row("unknown model", HttpError(404, "ResourceNotFoundException"), "MODEL_ERROR", UNKNOWN),
    Row(
        "invalid model id",
        HttpError(400, "ValidationException", "The provided model identifier is invalid."),
        "MODEL_ERROR",
        UNKNOWN,
    ),
    Row("model timed out", HttpError(408, "ModelTimeoutException"), "MODEL_TIMEOUT", SILENT),
    Row("silent from the start", Reply(headers_held=Hold()), "MODEL_TIMEOUT", SILENT),
    Row("silent in mid-stream", Reply(SAID, Hold()), "MODEL_TIMEOUT", SILENT, attempts=3),
    Row("cut in mid-stream", Reply(SAID, Cut()), "MODEL_ERROR", LOST, attempts=3),
    Row(
        "stream ends without a stop reason",
        Reply(SAID, EndOfStream()),
        "MODEL_ERROR",
        LOST,
        attempts=3,
    ),
    Row(
        "throttled in mid-stream",
        Reply(SAID, StreamException("throttlingException")),
        "MODEL_THROTTLED",
        BUSY,
        attempts=3,
    ),
    Row(
        "unavailable in mid-stream",
        Reply(SAID, StreamException("serviceUnavailableException")),
        "MODEL_ERROR",
        UNAVAILABLE,
        attempts=3,
    ),
    Row(
        "model error in mid-stream",
        Reply(SAID, StreamException("modelStreamErrorException")),
        "MODEL_ERROR",
        FAILED,
        attempts=3,
    ),
    Row(
        "server error in mid-stream",
        Reply(SAID, StreamException("internalServerException")),
        "MODEL_ERROR",
        FAILED,
        attempts=3,
    ),
    Row("guardrail", Reply(SAID, stop="guardrail_intervened"), "CONTENT_FILTERED", FILTERED),
    Row("content filter", Reply(SAID, stop="content_filtered"), "CONTENT_FILTERED", FILTERED),
    Row("malformed answer", Reply(SAID, stop="malformed_model_output"), "MODEL_ERROR", UNUSABLE),
    Row("out of tokens in its text", Reply(SAID, stop="max_tokens"), None),
    Row(
        "out of tokens while thinking",
        Reply(Reasoning("Hm"), stop="max_tokens"),
        "MAX_TOKENS",
        NO_TOKENS,
    ),
    Row(
        "out of tokens in a tool call",
        Reply(SAID, HALF_A_CALL, stop="max_tokens"),
        "MAX_TOKENS",
        NO_TOKENS,
    ),
]


@dataclass
class Service:
    """The stream function and the status function, on one table, with the stand-in for Bedrock."""

    bedrock: BedrockServer
    stream: TestClient
    status: Gateway

    def run(self, path: str, headers: dict[str, str]) -> Any:
        return self.stream.post(
            f"/api/agents/analyst/{path}", json={"message": "go"}, headers=headers
        )


@pytest.fixture(scope="module")
def service(app_module: AppModule) -> Iterator[Service]:
    with bedrock_server() as bedrock, pytest.MonkeyPatch.context() as patch:
        for name, value in bedrock.environment.items():
            patch.setenv(name, value)
        patch.setenv("AGENTRUN_MODEL", MODEL)
        patch.setenv("AGENTRUN_MODEL_IDLE_TIMEOUT_S", str(IDLE_TIMEOUT_S))
        # How long botocore waits between attempts has a test of its own below.
        patch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.001)
        app = app_module("stream").app
        status = Gateway(app_module("status").handler)
        with TestClient(app, raise_server_exceptions=False) as stream:
            yield Service(bedrock, stream, status)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_failure_of_the_model(service: Service, bearer: Bearer, row: Row) -> None:
    service.bedrock.always(row.answer)
    before = len(service.bedrock.requests)

    streamed = service.run("runs/stream", bearer())
    assert len(service.bedrock.requests) - before == row.attempts
    assert streamed.status_code == 200
    frames = frames_of(streamed.text)
    assert text_of(frames) == row.said
    assert "TOOL_START" not in dict(frames)
    last = "ERROR" if row.error_type else "STOP"
    assert [event for event, _ in frames[-2:]] == ["METRICS", last]

    code, run = service.status.get(f"/api/agents/analyst/runs/{streamed.headers['x-run-id']}")
    assert code == 200
    assert run["status"] == ("FAILED" if row.error_type else "COMPLETED")
    assert run.get("errorType") == row.error_type
    assert run.get("output", "") == row.said
    if row.error_type:
        assert run["errorMessage"] == frames[-1][1] == row.message

    once = service.run("runs", bearer())
    assert once.status_code == (502 if row.error_type else 200)
    assert once.json().get("detail", "") == row.message


def text_of(frames: list[tuple[str, str]]) -> str:
    """Return the text that stands: these runs have no step that a reset goes back to."""
    resets = [place for place, (event, _) in enumerate(frames) if event == "STEP_RESET"]
    return "".join(
        data for event, data in frames[max(resets, default=0) :] if event == "CONTENT_DELTA"
    )


def frames_of(text: str) -> list[tuple[str, str]]:
    """Return each event of a stream with its data."""
    frames = [json.loads(line[6:]) for line in text.split("\n") if line.startswith("data: ")]
    return [(frame["event"], frame["data"]) for frame in frames]
