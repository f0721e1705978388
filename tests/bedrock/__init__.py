"""
A stand-in for Amazon Bedrock that speaks Converse and ConverseStream to the real boto3.

    with bedrock_server() as bedrock:
        bedrock.script(
            Reply(Reasoning("Hm.", signature="s1"), ToolUse("t1", "add", {"left": 1, "right": 2})),
            Reply(Text("It is ", "3."), usage=Usage(20, 4, cache_read=900)),
        )
        ...  # run something that finds it by `bedrock.environment`
        assert model_id(bedrock.requests[1]) == "eu.anthropic.claude-haiku-4-5-20251001-v1:0"

It listens on loopback, on a port of its own, with a thread for each connection. boto3 finds it by
`bedrock.environment`, in this process (`monkeypatch.setenv`) or in another one. Each request takes
the next answer of the script; `bedrock.always(...)` answers those that the script has none for, and
may be a function of the request. An answer is a `Reply` of steps, or an `HttpError`. The steps
`Hold`, `Cut`, `EndOfStream` and `StreamException` are what goes wrong in mid-stream; a `Hold` with
an event of the test's own goes on once that is set. `bedrock.requests` records what came in;
`request.closed` is set when the server has seen the client go before the end of the answer.

A request that the real Bedrock would refuse (`rules`, `tool_rules`) is refused, whatever the script
says, and `bedrock.refused` says why.

`python -m tests.bedrock --port 9099` serves echoes, to try a stack by hand.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bedrock.answers import (
    Cut,
    EndOfStream,
    Hold,
    HttpError,
    RawToolUse,
    Reasoning,
    Reply,
    StreamException,
    Text,
    ToolUse,
    Usage,
)
from tests.bedrock.model_server import ModelRequest, ModelServer
from tests.bedrock.rules import faults, input_shape
from tests.bedrock.tool_rules import tool_faults

__all__ = [
    "BedrockServer",
    "Cut",
    "EndOfStream",
    "Hold",
    "HttpError",
    "ModelRequest",
    "RawToolUse",
    "Reasoning",
    "Reply",
    "StreamException",
    "Text",
    "ToolUse",
    "Usage",
    "bedrock_server",
    "model_id",
]


class BedrockServer(ModelServer):
    """A running stand-in; `environment` leads boto3 to it."""

    def __init__(self, certificate: Path | None = None, port: int = 0) -> None:
        refusal = HttpError(400, "ValidationException", "The script has no answer to this request.")
        super().__init__(refusal, certificate, port)
        # Now: an answer that waits for it may come too late for a client with little patience.
        for operation in ("Converse", "ConverseStream"):
            input_shape(operation)
        self.environment = {
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "eu-west-1",
            "AWS_DEFAULT_REGION": "eu-west-1",
        }
        if certificate is not None:
            self.environment["AWS_CA_BUNDLE"] = str(certificate)

    def faults(self, request: ModelRequest) -> list[str]:
        """Return what Bedrock would refuse a request for."""
        return faults(request.body, request.path) or tool_faults(request.body)

    def refusal(self, request: ModelRequest) -> HttpError:
        """Refuse as Bedrock does."""
        return HttpError(400, "ValidationException", "; ".join(self.faults(request)))


def model_id(request: ModelRequest) -> str:
    """Return the model's id, or the ARN, that a request names in its path."""
    return request.path.removeprefix("/model/").rpartition("/")[0]


@contextmanager
def bedrock_server(certificate: Path | None = None) -> Iterator[BedrockServer]:
    """Serve until the end of the block; over TLS if there is a certificate with its key (PEM)."""
    server = BedrockServer(certificate)
    with server.running():
        yield server
