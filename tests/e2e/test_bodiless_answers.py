"""Answers without a body, from the streaming runtime through both doors, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import h11
import pytest

from agentrun_local.doors.function_url import FunctionUrlDoor
from agentrun_local.doors.rest_api import RestApiDoor
from agentrun_local.doors.rest_definition import RestApi, Route
from agentrun_local.doors.web_server import listen, serving
from agentrun_local.functions.pool import FunctionPool
from agentrun_local.functions.processes import ProcessSupervisor
from agentrun_local.template.resources import Function, FunctionUrl
from tests.e2e.conftest import WAIT_S
from tests.lambda_runtime.process import APPS, ROOT

pytestmark = pytest.mark.anyio

FUNCTION = Function(
    name="F",
    handler="app.handler",
    runtime="python3.13",
    code_dir=APPS,
    layer_dirs=(ROOT / "layers" / "streaming",),
    timeout_s=WAIT_S,
    memory_mb=128,
    environment={"AWS_LAMBDA_EXEC_WRAPPER": "/opt/bootstrap"},
    json_logs=False,
    concurrency=2,
)
ANY_PATH = Route("ANY", "/{proxy+}", "F", None, True, None, WAIT_S)


@dataclass(frozen=True)
class Answer:
    """What a client gets; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class KeptConnection:
    """A client that sends all requests over one connection, and takes no stray byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._http = h11.Connection(h11.CLIENT)

    async def ask(self, target: str, method: str = "GET") -> Answer:
        """Send a request and read its whole answer."""
        request = h11.Request(method=method, target=target, headers=[("Host", "local")])
        self._writer.write(
            (self._http.send(request) or b"") + (self._http.send(h11.EndOfMessage()) or b"")
        )
        async with asyncio.timeout(WAIT_S):
            answer = await self._answer()
        self._http.start_next_cycle()
        return answer

    async def _answer(self) -> Answer:
        head, body = None, b""
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(await self._reader.read(65536))
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                headers = {name.decode(): value.decode() for name, value in head.headers}
                return Answer(head.status_code, headers, body)
            else:
                raise AssertionError(f"not an answer: {event}")


@pytest.fixture(params=["function_url", "rest_api"])
async def connection(
    request: pytest.FixtureRequest, anyio_backend: str
) -> AsyncIterator[KeptConnection]:
    """Connect to one door of the function."""
    async with ProcessSupervisor() as supervisor:
        pool = FunctionPool(FUNCTION, supervisor=supervisor, extra_environment={}, log=print)
        door = (
            FunctionUrlDoor(FunctionUrl("F", True), pool, log=print)
            if request.param == "function_url"
            else RestApiDoor(RestApi("live", (ANY_PATH,), {}, {}, ()), {"F": pool}, log=print)
        )
        listener = listen(0)
        async with serving(door, listener):
            reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
            yield KeptConnection(reader, writer)
            writer.close()
        await pool.stop()


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/bare?status=204", 204),
        ("GET", "/bare?status=304", 304),
        ("HEAD", "/bare?status=200", 200),
        ("HEAD", "/bare?status=405", 405),
        ("HEAD", "/large", 200),
    ],
)
async def test_an_answer_that_can_have_no_body_reaches_the_client_without_one(
    connection: KeptConnection, method: str, target: str, status: int
) -> None:
    for _ in range(2):
        answer = await connection.ask(target, method)
        assert (answer.status, answer.body) == (status, b"")
        framing = {"content-length", "transfer-encoding"} & answer.headers.keys()
        # RFC 9112, 6.1 and 6.2: a 204 may have neither.
        assert status != 204 or not framing
    # Whatever had come behind an answer would be taken for the beginning of this one.
    assert (await connection.ask("/unended")).body == b"all there is"


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/bare?status=307", 307),
        ("/bare?status=404", 404),
        ("/bare?status=200", 200),
        ("/empty_stream", 200),
    ],
)
async def test_an_empty_answer_reaches_the_client_as_one_space(
    connection: KeptConnection, target: str, status: int
) -> None:
    for _ in range(2):
        answer = await connection.ask(target)
        assert (answer.status, answer.body) == (status, b" ")
    assert (await connection.ask("/unended")).body == b"all there is"


async def test_head_of_a_stream_is_answered_while_the_function_still_streams(
    connection: KeptConnection,
) -> None:
    answer = await connection.ask("/gated?h", "HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert (await connection.ask("/open_gate?h")).status == 204


async def test_an_app_that_dies_behind_its_prelude_cuts_the_connection(
    connection: KeptConnection,
) -> None:
    with pytest.raises(h11.RemoteProtocolError, match="incomplete chunked read"):
        await connection.ask("/die_after_prelude")
