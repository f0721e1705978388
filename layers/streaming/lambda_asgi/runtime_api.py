"""A client of the Lambda Runtime API, version 2018-06-01."""

from dataclasses import dataclass

import h11

from lambda_asgi.connection import Answer, Connection
from lambda_asgi.context import LambdaContext, context_from_headers
from lambda_asgi.errors import ErrorReport, RuntimeApiError

_ROOT = "/2018-06-01/runtime"


@dataclass(frozen=True)
class Invocation:
    """
    One event to answer.

    `attempt_id` is `Lambda-Runtime-Invocation-Id`, which newer Runtime APIs send and expect back.
    """

    context: LambdaContext
    event: bytes
    attempt_id: str | None = None


class RuntimeApi:
    """
    One poller's client of the Runtime API.

    Calls use one kept-alive connection, reopened if the server has dropped it; each streamed
    response gets its own. Not for concurrent use.
    """

    def __init__(self, address: str) -> None:
        """Take `host:port`, the value of AWS_LAMBDA_RUNTIME_API."""
        host, _, port = address.rpartition(":")
        self._address = (host, int(port))
        self._host_header = ("Host", address)
        self._connection: Connection | None = None

    async def next_invocation(self) -> Invocation:
        """
        Wait for an event without a time limit: the process may be frozen meanwhile.

        Raises:
            RuntimeApiError: The Runtime API is gone or gave no event. The process should end.
        """
        answer = _accepted(await self._call("GET", "/invocation/next"))
        try:
            context = context_from_headers(answer.headers)
        except (KeyError, ValueError) as exc:
            raise RuntimeApiError(f"The invocation's headers are malformed: {exc}.") from exc
        attempt_id = answer.headers.get("lambda-runtime-invocation-id")
        return Invocation(context, bytes(answer.body), attempt_id)

    async def respond(self, invocation: Invocation, result: bytes) -> None:
        """Answer with a JSON document, buffered."""
        headers = [("Content-Type", "application/json"), *_attempt(invocation)]
        path = f"/invocation/{invocation.context.aws_request_id}/response"
        _accepted(await self._call("POST", path, headers, result))

    async def report_error(self, invocation: Invocation, report: ErrorReport) -> None:
        """Answer with an error; allowed only before the first byte of a response."""
        path = f"/invocation/{invocation.context.aws_request_id}/error"
        await self._report(path, report, _attempt(invocation))

    async def report_init_error(self, report: ErrorReport) -> None:
        """Report that this process cannot serve; it must end afterwards."""
        await self._report("/init/error", report)

    async def restore_next(self) -> None:
        """Allow the snapshot to be taken; return in the restored process."""
        _accepted(await self._call("GET", "/restore/next"))

    async def report_restore_error(self, report: ErrorReport) -> None:
        """Report that a hook failed after the restore; the process must end afterwards."""
        await self._report("/restore/error", report)

    async def connect(self) -> Connection:
        """
        Open a connection for a streamed response.

        Raises:
            RuntimeApiError: Nobody listens; retrying is safe.
        """
        return await Connection.open(*self._address)

    def response_head(self, invocation: Invocation) -> h11.Request:
        """Return the head of a streamed response."""
        return self._request(
            "POST",
            f"/invocation/{invocation.context.aws_request_id}/response",
            [
                ("Content-Type", "application/vnd.awslambda.http-integration-response"),
                ("Lambda-Runtime-Function-Response-Mode", "streaming"),
                ("Transfer-Encoding", "chunked"),
                (
                    "Trailer",
                    "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body",
                ),
                *_attempt(invocation),
            ],
        )

    def close(self) -> None:
        """Drop the kept-alive connection."""
        if self._connection is not None:
            self._connection.close()

    async def _report(
        self, path: str, report: ErrorReport, headers: list[tuple[str, str]] | None = None
    ) -> None:
        # The documentation tells an error from a result by this content type.
        fields = [
            ("Content-Type", "application/vnd.aws.lambda.error+json"),
            ("Lambda-Runtime-Function-Error-Type", report.header_type),
            *(headers or []),
        ]
        _accepted(await self._call("POST", path, fields, report.to_json()))

    async def _call(
        self,
        method: str,
        path: str,
        headers: list[tuple[str, str]] | None = None,
        body: bytes = b"",
    ) -> Answer:
        fields = [*(headers or [])]
        if method == "POST":
            fields.append(("Content-Length", str(len(body))))
        request = self._request(method, path, fields)
        if self._connection is not None and not self._connection.lost:
            try:
                return await self._connection.exchange(request, body)
            except RuntimeApiError:
                # A server may drop an idle connection just as we write. Sending again is safe: the
                # Runtime API refuses a second report on one invocation.
                pass
        self._connection = await self.connect()
        return await self._connection.exchange(request, body)

    def _request(self, method: str, path: str, headers: list[tuple[str, str]]) -> h11.Request:
        return h11.Request(
            method=method, target=f"{_ROOT}{path}", headers=[self._host_header, *headers]
        )


def _attempt(invocation: Invocation) -> list[tuple[str, str]]:
    attempt_id = invocation.attempt_id
    return [("Lambda-Runtime-Invocation-Id", attempt_id)] if attempt_id else []


def _accepted(answer: Answer) -> Answer:
    if not 200 <= answer.status < 300:
        detail = bytes(answer.body[:200]).decode("utf-8", "replace")
        raise RuntimeApiError(f"The Runtime API answered {answer.status}: {detail}")
    return answer
