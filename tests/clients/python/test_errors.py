"""Refusals become typed errors, whatever the answer looks like; none of them tells the token."""

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

import agentrun_client
from agentrun_client import (
    AgentrunError,
    ApiError,
    AsyncClient,
    Client,
    ConflictError,
    ConnectionFailedError,
    InternalServerError,
    InvalidParam,
    InvalidRequestError,
    RunFailedError,
    UnavailableError,
)
from agentrun_client.wire.answer import Answer, error_of, retry_after_s
from tests.clients.python.instant import InstantClock
from tests.clients.python.recorded import AGENT
from tests.clients.python.stand_in import SILENT, Asked, Reply, serving

SECRET = "eyJ.secret.token"
PROBLEM = {"content-type": "application/problem+json"}
CLASSES = {
    400: "InvalidRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    405: "ApiError",
    409: "ConflictError",
    413: "PayloadTooLargeError",
    415: "UnsupportedMediaTypeError",
    429: "TooManyRunsError",
    500: "InternalServerError",
    502: "UnavailableError",
    503: "UnavailableError",
    504: "UnavailableError",
    507: "InternalServerError",
}


def problem(status: int, **more: Any) -> bytes:
    told = {"type": "urn:problem-type:x", "title": "T", "status": status, "detail": "D"}
    return json.dumps({**told, "instance": "/", **more}).encode()


@pytest.mark.parametrize(("status", "name"), CLASSES.items())
def test_a_status_has_its_class(status: int, name: str) -> None:
    error = error_of(Answer(status, {}, problem(status)))
    assert type(error) is getattr(agentrun_client, name)
    assert isinstance(error, ApiError)
    assert (error.status, error.type, error.title, error.detail) == (
        status,
        "urn:problem-type:x",
        "T",
        "D",
    )


def test_a_problem_tells_all_it_has() -> None:
    params = [{"name": "message", "reason": "is empty"}]
    body = problem(503, invalidParams=params, runId="r1", news=1)
    error = error_of(Answer(503, {"retry-after": "5"}, body))
    assert isinstance(error, UnavailableError)
    assert error.invalid_params == (InvalidParam("message", "is empty"),)
    assert (error.retry_after, error.run_id) == (5.0, "r1")
    assert str(error) == "503 T: D"


def test_a_failed_run_is_no_refusal() -> None:
    body = problem(502, type="urn:problem-type:run-failed", runId="r1", detail="No.")
    error = error_of(Answer(502, {}, body))
    assert isinstance(error, RunFailedError)
    assert (error.run_id, error.message) == ("r1", "No.")
    assert not isinstance(error, ApiError)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "its body is empty"),
        (b"<html>\n<b>Bad gateway</b>", "<html> <b>Bad gateway</b>"),
        (b'{"type":"urn:problem-ty', "urn:problem-ty"),
        (b'{"message":"Too big"}', "Too big"),
        (b'{"Message":"Too big"}', "Too big"),
        (b'["a"]', '["a"]'),
        (b"\xff\x00", "\ufffd"),
        (b'{"type":1,"detail":2,"invalidParams":"x"}', "detail"),
    ],
)
def test_an_answer_that_is_no_problem_is_an_error_too(body: bytes, told: str) -> None:
    error = error_of(Answer(500, {"content-type": "text/html"}, body))
    assert isinstance(error, InternalServerError)
    assert (error.type, error.title) == ("about:blank", "Internal Server Error")
    assert told in error.detail


def test_odd_fields_of_a_problem_do_no_harm() -> None:
    body = problem(400, invalidParams=[1, {"name": 2}, None], runId=7)
    error = error_of(Answer(400, {"retry-after": "soon"}, body))
    assert isinstance(error, InvalidRequestError)
    assert error.invalid_params == (InvalidParam("2", ""),)
    assert (error.retry_after, error.run_id) == (None, None)


def test_retry_after_may_be_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    seconds = retry_after_s(Answer(503, {"retry-after": later}, b""))
    assert seconds is not None
    assert 80 < seconds <= 90


@pytest.mark.parametrize(
    "body", [b"", b"null", b'{"id":"r1"}', b'{"id":"r1","agentId', b"<html>", b"[]"]
)
def test_a_success_that_cannot_be_read_is_an_error(body: bytes) -> None:
    with (
        serving(lambda _: Reply(200, {}, [body] if body else [])) as server,
        Client(server.url, SECRET) as client,
        pytest.raises(ApiError, match="cannot be read"),
    ):
        client.runs.get("r1")


def test_a_page_that_is_no_stream_is_an_error() -> None:
    login = Reply(200, {"content-type": "text/html"}, [b"<html>Log in</html>"])
    with (
        serving(lambda _: login) as server,
        Client(server.url, SECRET) as client,
        pytest.raises(ApiError, match="no event stream"),
    ):
        client.runs.stream(AGENT, "hello").text()


def test_a_redirection_is_not_followed_with_the_token() -> None:
    with serving(lambda _: Reply(200, {}, [b"{}"])) as elsewhere:
        away = Reply(307, {"location": f"{elsewhere.url}/api/agents"})
        with (
            serving(lambda _: away) as server,
            Client(server.url, SECRET) as client,
            pytest.raises(ApiError, match="redirections are not followed") as caught,
        ):
            client.agents.list()
        assert caught.value.status == 307
        assert elsewhere.asked == []


def everything_about(error: BaseException) -> str:
    texts = []
    seen: BaseException | None = error
    while seen is not None:
        texts += [str(seen), repr(seen), repr(seen.args), repr(vars(seen))]
        seen = seen.__cause__ or seen.__context__
    return " ".join(texts)


@pytest.mark.parametrize(
    "fails",
    [
        lambda _: SILENT,
        lambda _: Reply(401),
        lambda _: Reply(500, {}, [b"{}"]),
        lambda _: Reply(200, {}, [b"{}"]),
    ],
)
def test_no_error_tells_the_token(fails: Callable[[Asked], Reply]) -> None:
    with serving(fails) as server:
        client = Client(server.url, SECRET, clock=InstantClock(), max_reattaches=1)
        with client, pytest.raises(AgentrunError) as caught:
            client.agents.list()
        with client, pytest.raises((AgentrunError, RuntimeError)) as streamed:
            client.runs.stream(AGENT, "hello").text()
    for error in (caught.value, streamed.value):
        assert SECRET not in everything_about(error)


def test_no_log_tells_the_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with (
        serving(lambda _: Reply(401)) as server,
        Client(server.url, SECRET) as client,
        pytest.raises(AgentrunError),
    ):
        client.runs.stream(AGENT, "hello").text()
    assert server.asked[0].headers["authorization"] == f"Bearer {SECRET}"
    assert caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("token", [f"{SECRET}\n", f"{SECRET} x", f"{SECRET}ü", ""])
def test_a_token_that_no_header_can_carry_is_not_shown(token: str) -> None:
    with (
        Client("http://127.0.0.1:1", token) as client,
        pytest.raises(AgentrunError, match="characters that no header can carry") as caught,
    ):
        client.agents.list()
    assert SECRET not in everything_about(caught.value)


def test_no_representation_tells_the_token() -> None:
    client, awaited = (
        Client("https://api.example/live", SECRET),
        AsyncClient("https://a.example", SECRET),
    )
    for thing in (client, client.runs, client.runs.stream(AGENT, "hello"), awaited):
        assert SECRET not in repr(thing)
    assert repr(client) == "Client('https://api.example/live')"
    assert SECRET not in repr(vars(client))
    client.close()


@pytest.mark.parametrize(
    "url",
    [
        *("api.example", "ftp://api.example", "https://", "https://u:p@api.example"),
        *("https://a?b=c", "https://a?", "https://a#", "https://a/@me#top"),
        *("http://localhost:abc", "http://localhost:99999", "http://[::1", "http://[v1.x]"),
        *("http://local host", " http://localhost", "http://a\n", "http://a/\x00"),
        *("http://xn--", "http://a..b", f"http://{'a' * 64}"),
    ],
)
def test_a_base_url_that_would_not_do_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="base URL"):
        Client(url, SECRET)
    with pytest.raises(ValueError, match="base URL"):
        AsyncClient("https://a.example", SECRET, stream_url=url)


@pytest.mark.parametrize(
    "url", ["http://localhost:8000", "https://[::1]:8000/live/", "http://münchen.example/@me"]
)
def test_a_base_url_of_any_host_is_taken(url: str) -> None:
    with Client(url, SECRET) as client:
        assert repr(client) == f"Client({url.rstrip('/')!r})"


def test_a_connection_that_fails_names_the_host() -> None:
    with serving(lambda _: SILENT) as server:
        nobody = server.url
    with (
        Client(nobody, SECRET, max_retries=0) as client,
        pytest.raises(ConnectionFailedError, match=r"127\.0\.0\.1"),
    ):
        client.health()


def test_the_tree_of_the_docstring_is_the_tree() -> None:
    text = agentrun_client.errors.__doc__ or ""
    drawn = {word for word in text.split() if word.endswith("Error")}
    real = {name for name in agentrun_client.__all__ if name.endswith("Error")}
    assert drawn == real - {"ToolError"}
    assert issubclass(ConflictError, ApiError)
