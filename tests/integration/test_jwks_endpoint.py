"""Asking an issuer for its keys, over real sockets: bounded in time, size and place."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from agentrun.adapters.tokens.jwks import (
    MAX_DOCUMENT_BYTES,
    JwksEndpoint,
    JwksUnavailableError,
)
from agentrun.adapters.tokens.signing_keys import FETCH_TIMEOUT_S, RemoteSigningKeys
from agentrun.domain.errors import IssuerUnavailableError
from tests.http_server import send
from tests.issuer_server import PATH, Issuer, running_issuer

Answer = Callable[[BaseHTTPRequestHandler], object]
TIMEOUT_S = 0.2


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as issuer:
        issuer.add_key("one")
        issuer.published = ("one",)
        yield issuer


def redirecting_to(url: str) -> Answer:
    return lambda handler: send(handler, 302, Location=url)


def test_the_keys_come_from_where_the_issuer_publishes_them(issuer: Issuer) -> None:
    assert list(JwksEndpoint(issuer.jwks_url).fetch(TIMEOUT_S)) == ["one"]
    assert issuer.paths == [PATH]


def test_a_redirect_is_followed_within_the_host(issuer: Issuer) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.path == PATH:
            send(handler, 307, Location="/moved")
        else:
            issuer.publish(handler)

    issuer.answer = answer
    assert list(JwksEndpoint(issuer.jwks_url).fetch(TIMEOUT_S)) == ["one"]
    assert issuer.paths == [PATH, "/moved"]


def test_a_redirect_leads_nowhere_else(issuer: Issuer) -> None:
    with running_issuer() as elsewhere:
        for target in (elsewhere.jwks_url, "file:///etc/hostname", "http://[", "https://127.0.0.1"):
            issuer.answer = redirecting_to(target)
            with pytest.raises(JwksUnavailableError):
                JwksEndpoint(issuer.jwks_url).fetch(TIMEOUT_S)
        assert elsewhere.paths == []


def truncated(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"keys":[')


def too_large(handler: BaseHTTPRequestHandler) -> None:
    send(handler, 200, json.dumps({"keys": [], "x": "x" * MAX_DOCUMENT_BYTES}).encode())


BAD: dict[str, Answer] = {
    "an error": lambda handler: send(handler, 500, b'{"keys":[]}'),
    "not there": lambda handler: send(handler, 404),
    "a page": lambda handler: send(handler, 200, b"<html>"),
    "not UTF-8": lambda handler: send(handler, 200, b'{"keys":["\xff"]}'),
    "another document": lambda handler: send(handler, 200, b'{"issuer":"x"}'),
    "nothing": lambda handler: send(handler, 200),
    "no HTTP": lambda handler: handler.wfile.write(b"hello\r\n\r\n"),
    "nested without end": lambda handler: send(handler, 200, b"[" * MAX_DOCUMENT_BYTES),
    "a redirect to itself": redirecting_to(PATH),
    "truncated": truncated,
    "too large": too_large,
}


@pytest.mark.parametrize("name", list(BAD))
def test_any_other_answer_is_no_answer(issuer: Issuer, name: str) -> None:
    issuer.answer = BAD[name]
    with pytest.raises(JwksUnavailableError):
        JwksEndpoint(issuer.jwks_url).fetch(TIMEOUT_S)


def test_an_issuer_that_is_not_there_is_unavailable(issuer: Issuer) -> None:
    with running_issuer() as gone:
        pass
    with pytest.raises(JwksUnavailableError):
        JwksEndpoint(gone.jwks_url).fetch(TIMEOUT_S)


def test_an_issuer_that_says_nothing_is_given_up(issuer: Issuer) -> None:
    release = threading.Event()
    issuer.answer = lambda _: release.wait()
    with pytest.raises(JwksUnavailableError, match="timed out"):
        JwksEndpoint(issuer.jwks_url).fetch(TIMEOUT_S)
    release.set()


def test_an_issuer_that_drips_is_given_up(issuer: Issuer) -> None:
    release = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        while not release.wait(TIMEOUT_S / 10):
            handler.wfile.write(b" ")

    issuer.answer = drip
    with pytest.raises(JwksUnavailableError, match="too slowly"):
        JwksEndpoint(issuer.jwks_url).fetch(TIMEOUT_S)
    release.set()


def test_a_caller_waits_for_a_slow_issuer_no_longer_than_its_time_out(issuer: Issuer) -> None:
    release = threading.Event()
    issuer.answer = lambda _: release.wait()
    started = threading.Event()
    ended = threading.Event()

    def ask() -> None:
        started.set()
        with pytest.raises(IssuerUnavailableError):
            RemoteSigningKeys(JwksEndpoint(issuer.jwks_url).fetch).key("one")
        ended.set()

    thread = threading.Thread(target=ask)
    thread.start()
    assert started.wait(5)
    assert ended.wait(FETCH_TIMEOUT_S + 3)
    release.set()
    thread.join()
