"""The session under the DynamoDB client, against servers that keep, close, cut and fall silent."""

import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
    SSLError,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agentrun.adapters.dynamo.connection.http_session import LightSession
from agentrun.adapters.dynamo.connection.light_client import lighten

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
LAST = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
_LENGTH = re.compile(rb"Content-Length: (\d+)\r\n")
Reply = bytes | Callable[[socket.socket], None]


class Scripted:
    """A server that answers one request after another from a script, then always with `EMPTY`."""

    def __init__(self, replies: list[Reply], tls: ssl.SSLContext | None) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._replies, self._tls, self._lock = replies, tls, threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://localhost:{self._listening.getsockname()[1]}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        # Closing alone leaves the port open for as long as the thread waits.
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.hang_up()

    def hang_up(self) -> None:
        """Close every connection."""
        for sock in self._open:
            with closing(sock):
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        self.connections += 1
        with sock:
            try:
                if self._tls is not None:
                    sock = self._tls.wrap_socket(sock, server_side=True)
                self._open.append(sock)
                while (request := _request(sock)) is not None:
                    with self._lock:
                        self.requests.append(request)
                        reply = self._replies.pop(0) if self._replies else EMPTY
                    if not isinstance(reply, bytes):
                        reply(sock)
                        return
                    sock.sendall(reply)
            except OSError:
                return


def _request(sock: socket.socket) -> bytes | None:
    received = b""
    while b"\r\n\r\n" not in received:
        if not (more := sock.recv(65536)):
            return None
        received += more
    found = _LENGTH.search(received)
    assert found is not None
    whole = received.index(b"\r\n\r\n") + 4 + int(found[1])
    while len(received) < whole:
        received += sock.recv(65536)
    return received


@contextmanager
def served(*replies: Reply, tls: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    with closing(Scripted(list(replies), tls)) as server:
        yield server


def make(url: str, *, light: bool = True, **settings: Any) -> "DynamoDBClient":
    options: Any = {"total_max_attempts": 1}
    config = Config(read_timeout=0.3, connect_timeout=1, retries=options).merge(Config(**settings))
    client = boto3.client(
        "dynamodb",
        region_name="eu-west-1",
        endpoint_url=url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=config,
    )
    if light:
        lighten(client)
    return client


@pytest.fixture(autouse=True)
def without_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


def session_of(client: Any) -> Any:
    return client._endpoint.http_session


def ask(client: "DynamoDBClient", **more: Any) -> Any:
    return client.get_item(TableName="runs", Key={"pk": {"S": "é"}, "sk": {"S": "RUN"}}, **more)


def test_a_request_is_to_the_byte_what_botocore_sends() -> None:
    """Except for what differs from request to request, and so the signature."""
    sent = []
    with served() as server:
        for light in (True, False):
            with closing(make(server.url, light=light)) as client:
                ask(client)
        for request in server.requests:
            varying = rb"(User-Agent|X-Amz-Date|Authorization|amz-sdk-invocation-id): [^\r]*"
            sent.append(re.sub(varying, rb"\1", request))
    assert sent[0] == sent[1]


def test_a_connection_is_used_again_until_it_is_closed() -> None:
    with served(EMPTY, LAST) as server, closing(make(server.url)) as client:
        for _ in range(4):
            ask(client)
        assert (len(server.requests), server.connections) == (4, 2)


def test_a_kept_connection_that_was_closed_is_replaced_before_anything_is_sent() -> None:
    with served() as server, closing(make(server.url)) as client:
        ask(client)
        server.hang_up()
        time.sleep(0.05)
        ask(client)
        assert (len(server.requests), server.connections) == (2, 2)


def test_an_answer_to_nothing_is_nobodys_answer() -> None:
    late = b'HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\n{"Item":{"x":{"S":"y"}}}'
    with served(EMPTY + late) as server, closing(make(server.url)) as client:
        ask(client)
        assert "Item" not in ask(client)


def silence(sock: socket.socket) -> None:
    sock.recv(1)


def cut(sock: socket.socket) -> None:
    sock.sendall(EMPTY[:-1])


def slow(sock: socket.socket) -> None:
    sock.sendall(EMPTY[:9])
    sock.recv(1)


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (silence, ReadTimeoutError),
        (slow, ReadTimeoutError),
        (cut, ConnectionClosedError),
        (reset, ConnectionClosedError),
        (b"garbage\r\n\r\n", ConnectionClosedError),
    ],
)
def test_a_failed_exchange_is_botocores_error_and_its_connection_is_not_used_again(
    reply: Reply, error: type[Exception]
) -> None:
    with served(reply) as server, closing(make(server.url)) as client:
        with pytest.raises(error):
            ask(client)
        assert len(server.requests) == 1
        ask(client)
        assert server.connections == 2


@pytest.mark.parametrize("mode", ["legacy", "standard"])
@pytest.mark.parametrize("reply", [silence, cut, reset, b"garbage\r\n\r\n"])
def test_botocore_tries_again_what_failed(mode: str, reply: Reply) -> None:
    retries = {"total_max_attempts": 2, "mode": mode}
    with served(reply) as server, closing(make(server.url, retries=retries)) as client:
        assert ask(client)["ResponseMetadata"]["RetryAttempts"] == 1
        assert len(server.requests) == 2


def test_botocore_tries_again_what_does_not_match_its_checksum() -> None:
    wrong = EMPTY.replace(b"\r\n\r\n", b"\r\nx-amz-crc32: 1\r\n\r\n")
    with served(wrong) as server, closing(make(server.url, retries={"mode": "legacy"})) as client:
        ask(client)
        assert len(server.requests) == 2


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://localhost:{taken.getsockname()[1]}"
    with closing(make(url)) as client, pytest.raises(EndpointConnectionError):
        ask(client)


def test_a_host_that_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: object, **__: object) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with closing(make("http://db.test")) as client, pytest.raises(EndpointConnectionError):
        ask(client)


def test_connecting_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(_: object, timeout: float) -> None:
        raise TimeoutError(timeout)

    monkeypatch.setattr(socket, "create_connection", connect)
    with closing(make("http://localhost:9")) as client, pytest.raises(ConnectTimeoutError):
        ask(client)


def test_a_hundred_threads_get_their_own_answers() -> None:
    with echoing() as url, closing(make(url, read_timeout=20)) as client:

        def call(number: int) -> bool:
            name = f"{number}-{'x' * (number * 37 % 5000)}"
            read = client.get_item(TableName="runs", Key={"pk": {"S": name}})
            return read["Item"]["pk"]["S"] == name

        with ThreadPoolExecutor(100) as pool:
            assert all(pool.map(call, range(600)))


@contextmanager
def echoing() -> Iterator[str]:
    """Serve items that are their keys."""

    class Echo(Scripted):
        def _serve(self, sock: socket.socket) -> None:
            with sock:
                self._open.append(sock)
                while (request := _request(sock)) is not None:
                    key = request.partition(b'"Key": ')[2][:-1]
                    body = b'{"Item": %b}' % key
                    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
                    sock.sendall(body)

    with closing(Echo([], None)) as server:
        yield server.url


def test_more_connections_are_opened_than_are_kept() -> None:
    with served() as server, closing(make(server.url, max_pool_connections=2)) as client:
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda _: ask(client), range(60)))
        (place,) = session_of(client)._places.values()
        assert 1 <= len(place.idle) <= 2


@pytest.mark.parametrize("hook_answers", [True, False])
def test_a_hook_can_answer_in_the_servers_place(hook_answers: bool) -> None:
    with served() as server, closing(make(server.url)) as client:
        session, events = session_of(client), client.meta.events
        answer = session.send if hook_answers else lambda _: None
        events.register_first("before-send.dynamodb.*", lambda request, **_: answer(request))
        ask(client)
        assert len(server.requests) == 1


@pytest.mark.parametrize("line_break", ["\r\n", "\n", "\r"])
def test_a_header_cannot_hold_a_second_one(line_break: str) -> None:
    agent = f"x{line_break}Evil: y"
    with served() as server, closing(make(server.url, user_agent=agent)) as client:
        with pytest.raises(Exception, match="Invalid header value"):
            ask(client)
        assert server.requests == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    pem, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(pem, private, serialization.NoEncryption())
    path.write_bytes(made.public_bytes(pem) + secret)
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_tls_is_verified_against_the_bundle_that_botocore_is_told(
    certificate: Path, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    with served(tls=tls) as server, closing(make(server.url, read_timeout=9)) as client:
        for _ in range(3):
            ask(client)
        assert (len(server.requests), server.connections) == (3, 1)


def test_an_unknown_authority_is_refused(tls: ssl.SSLContext) -> None:
    with served(tls=tls) as server, closing(make(server.url)) as client:
        with pytest.raises(SSLError):
            ask(client)
        assert server.requests == []


def test_another_hosts_certificate_is_refused(
    certificate: Path, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    with served(tls=tls) as server:
        url = server.url.replace("localhost", "127.0.0.1")
        with closing(make(url)) as client, pytest.raises(SSLError):
            ask(client)


def test_a_handshake_that_gets_no_answer_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """As botocore says it, with the time for connecting."""
    with served(silence) as server:
        url = server.url.replace("http:", "https:")
        with closing(make(url, connect_timeout=0.2)) as client, pytest.raises(ReadTimeoutError):
            ask(client)


def test_a_configured_proxy_is_left_to_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://localhost:9")
    monkeypatch.setenv("NO_PROXY", "db.test")
    assert not isinstance(session_of(make("http://example.test")), LightSession)
    assert isinstance(session_of(make("http://db.test")), LightSession)
    given = make("http://db.test", proxies={"http": "http://localhost:9"})
    assert not isinstance(session_of(given), LightSession)


def test_closing_closes_what_is_kept() -> None:
    with served() as server:
        client = make(server.url)
        ask(client)
        (place,) = session_of(client)._places.values()
        (kept,) = place.idle
        client.close()
        assert kept.fileno() == -1
