"""The client of `agentrun smoke`: what it sees of answers, whole and broken, over real sockets."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agentrun_local.smoke.connection import ClosedError, Connection, ExchangeError, SilentError
from agentrun_local.smoke.run_stream import Frame
from tests.certificates import self_signed

WAIT_S = 30


@contextmanager
def serving(
    answer: bytes, *, closes: bool = True, context: ssl.SSLContext | None = None
) -> Iterator[str]:
    """Accept one connection, and send these bytes once a request has come."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = threading.Event()

        def serve() -> None:
            plain, _ = server.accept()
            try:
                with context.wrap_socket(plain, server_side=True) if context else plain as peer:
                    peer.recv(65_536)
                    peer.sendall(answer)
                    if not closes:
                        done.wait(WAIT_S)
            except OSError:
                # The client has refused the certificate.
                plain.close()

        thread = threading.Thread(target=serve)
        thread.start()
        scheme = "https" if context else "http"
        try:
            yield f"{scheme}://127.0.0.1:{server.getsockname()[1]}/base"
        finally:
            done.set()
            thread.join()


def got(url: str, *, within_s: float = WAIT_S) -> tuple[int, list[bytes]]:
    with Connection(url) as connection:
        head = connection.request("GET", "/path", {}, within_s=within_s)
        return head.status, [piece.data for piece in connection.pieces(silent_s=within_s)]


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_body_ends_with_its_last_chunk_or_its_length() -> None:
    for answer, body in (
        (CHUNKED + b"2\r\nhi\r\n0\r\n\r\n", b"hi"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ):
        with serving(answer, closes=False) as url:
            assert b"".join(got(url)[1]) == body


def test_a_body_without_its_last_chunk_has_no_end() -> None:
    with serving(CHUNKED + b"2\r\nhi\r\n", closes=False) as url, pytest.raises(SilentError):
        got(url, within_s=0.3)


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Le", CHUNKED + b"2\r\nhi\r\n", CHUNKED + b"5\r\nhi"],
)
def test_an_answer_that_is_cut_is_no_answer(answer: bytes) -> None:
    with serving(answer) as url, pytest.raises(ClosedError):
        got(url)


def test_what_is_not_http_is_said_to_be() -> None:
    with (
        serving(b"SSH-2.0-OpenSSH_9\r\n\r\n") as url,
        pytest.raises(ExchangeError, match="no HTTP"),
    ):
        got(url)


def test_a_body_after_a_204_spoils_the_next_answer() -> None:
    answer = b"HTTP/1.1 204 No Content\r\n\r\n0\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"
    with serving(answer, closes=False) as url, Connection(url) as connection:
        connection.request("GET", "/", {}, within_s=WAIT_S)
        assert list(connection.pieces(silent_s=WAIT_S)) == []
        with pytest.raises(ExchangeError, match="no HTTP"):
            connection.request("GET", "/", {}, within_s=WAIT_S)


@pytest.mark.parametrize("closes", [True, False])
def test_a_connection_that_says_it_closes_is_seen_to(closes: bool) -> None:
    answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
    with serving(answer, closes=closes) as url, Connection(url) as connection:
        connection.request("GET", "/", {}, within_s=WAIT_S)
        list(connection.pieces(silent_s=WAIT_S))
        assert connection.says_it_closes
        assert connection.closes(within_s=WAIT_S if closes else 0.3) is closes


@pytest.mark.parametrize("token", ["hunter2\nX: y", "hunter2 \N{SNOWMAN}"])
def test_a_token_that_cannot_be_sent_is_not_quoted(token: str) -> None:
    with serving(b"") as url, Connection(url) as connection:
        with pytest.raises(ExchangeError, match="does not allow") as caught:
            connection.request("GET", "/", {"Authorization": token}, within_s=WAIT_S)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("data", ["", "nonsense", "[1]", '{"totalTokens": "12"}', "{}"])
def test_figures_that_are_none_are_not_known(data: str) -> None:
    assert Frame(1, "METRICS", data, 0, 0).figure("totalTokens") is None
    assert Frame(1, "METRICS", '{"totalTokens": 12}', 0, 0).figure("totalTokens") == 12


def test_https_asks_for_a_certificate_that_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    answer = CHUNKED + b"2\r\nhi\r\n0\r\n\r\n"
    with serving(answer, context=context) as url, pytest.raises(ExchangeError, match="trusted"):
        got(url)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with serving(answer, context=context) as url:
        assert got(url) == (200, [b"hi"])
