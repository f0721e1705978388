"""Media by URL: no server's answer, or lack of one, costs more than the limits."""

import asyncio
import gzip
import threading
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from agent_catalog.media.loader import MAX_AT_ONCE, UrlMediaLoader
from agent_catalog.media.public_download import MAX_REDIRECTS
from agentrun.domain.errors import InvalidRequestError, PayloadTooLargeError
from agentrun.domain.media import MAX_DOWNLOAD_BYTES
from tests.integration.internet import PUBLIC, Answer, Internet, ok, redirect

pytestmark = pytest.mark.anyio

FIELD = "media.0.data"
HERE = "http://files.example/"
HEAD = b"HTTP/1.1 200 OK\r\n"
SHORT_S = 0.3
AT_ONCE_S = 5
"""Far below what an attack would take without limits, far above what a busy machine needs."""


@pytest.fixture
async def internet() -> AsyncIterator[Internet]:
    internet = Internet({"files.example": [[PUBLIC]]})
    async with internet.opened():
        yield internet


@pytest.fixture
def load(internet: Internet) -> Callable[..., Awaitable[bytes]]:
    async def load(answer: Answer, *, timeout_s: float = 10) -> bytes:
        internet.answers["files.example/"] = answer
        return (await UrlMediaLoader(timeout_s=timeout_s).load({FIELD: HERE}))[FIELD]

    return load


Load = Callable[..., Awaitable[bytes]]


def chunked(chunk: bytes, pause_s: float = 0) -> Answer:
    """Send the same for ever."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            await writer.drain()
            await asyncio.sleep(pause_s)

    return answer


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()  # until the client leaves


async def head_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b"Content-Length: 5\r\n\r\n")
    await writer.drain()
    await silence(reader, writer)


async def slow_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while not writer.is_closing():
        writer.write(b"H")
        await asyncio.sleep(0.01)


async def test_a_file_arrives_byte_for_byte_whatever_type_the_server_gives(load: Load) -> None:
    body = bytes(range(256)) * 500
    assert await load(ok(body, "Content-Type: text/html")) == body


async def test_a_file_may_have_10_mib_and_no_byte_more(load: Load) -> None:
    body = bytes(MAX_DOWNLOAD_BYTES)
    assert await load(ok(body)) == body
    with pytest.raises(PayloadTooLargeError, match=r"media\.0\.data .* more than 10485760 bytes"):
        await load(HEAD + b"Connection: close\r\n\r\n" + body + b"x")


async def test_a_file_that_is_said_to_be_larger_is_not_read(load: Load) -> None:
    with pytest.raises(PayloadTooLargeError):
        await load(HEAD + b"Content-Length: %d\r\n\r\n" % (MAX_DOWNLOAD_BYTES + 1))


async def test_a_file_without_an_end_is_cut_off_at_the_limit(load: Load) -> None:
    with pytest.raises(PayloadTooLargeError):
        await load(chunked(bytes(1 << 16)))


async def test_more_bytes_than_announced_are_not_read(load: Load) -> None:
    assert await load(HEAD + b"Content-Length: 5\r\n\r\nhello and more") == b"hello"


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Content-Length: 50\r\n\r\nhello",
        HEAD + b"Content-Length: -5\r\n\r\nhello",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nhello",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello",
        HEAD + b"X: " + b"x" * 200_000,
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"",
        b"\x00\xff" * 100,
    ],
)
async def test_what_is_not_http_is_refused(load: Load, answer: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="could not be downloaded"):
        await load(answer)


@pytest.mark.parametrize("status", [201, 204, 206, 300, 304, 403, 404, 500])
async def test_only_a_status_of_200_is_a_file(load: Load, status: int) -> None:
    head = f"HTTP/1.1 {status} Reason\r\nContent-Length: 0\r\n\r\n".encode()
    with pytest.raises(InvalidRequestError, match=f"with the status {status}"):
        await load(head)


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "br", "deflate", "zstd", "gzip, gzip"])
async def test_a_compressed_answer_is_refused_and_never_unpacked(load: Load, coding: str) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    with pytest.raises(InvalidRequestError, match="in a compressed form"):
        await load(ok(bomb, f"Content-Encoding: {coding}"))


async def test_an_uncompressed_form_is_asked_for(internet: Internet, load: Load) -> None:
    assert await load(ok(b"plain", "Content-Encoding: identity")) == b"plain"
    assert "accept-encoding: identity" in internet.requests[0].lower()


@pytest.mark.parametrize(
    "answer", [silence, head_only, slow_head, chunked(b"x", 0.01)], ids=lambda a: a.__name__
)
async def test_a_server_that_takes_its_time_is_left(load: Load, answer: Answer) -> None:
    began = time.monotonic()
    with pytest.raises(InvalidRequestError, match="did not arrive in time"):
        await load(answer, timeout_s=SHORT_S)
    assert time.monotonic() - began < AT_ONCE_S


@pytest.fixture
def hung_name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    release = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *args, **kwargs: [][release.wait(60)])
    yield
    release.set()


async def test_a_name_server_that_never_answers_is_left(load: Load, hung_name_server: None) -> None:
    began = time.monotonic()
    with pytest.raises(InvalidRequestError, match="did not arrive in time"):
        await load(b"", timeout_s=SHORT_S)
    assert time.monotonic() - began < AT_ONCE_S


async def test_the_limit_is_for_all_files_together(internet: Internet) -> None:
    internet.answers = {f"files.example/{number}": silence for number in range(10)}
    urls = {f"media.{number}.data": f"{HERE}{number}" for number in range(10)}
    began = time.monotonic()
    with pytest.raises(InvalidRequestError, match="did not arrive in time"):
        await UrlMediaLoader(timeout_s=SHORT_S).load(urls)
    assert time.monotonic() - began < AT_ONCE_S
    assert len(internet.connections) <= MAX_AT_ONCE


async def test_the_first_failure_ends_the_other_downloads(internet: Internet) -> None:
    internet.answers["files.example/slow"] = silence
    began = time.monotonic()
    with pytest.raises(InvalidRequestError) as failed:
        await UrlMediaLoader(timeout_s=60).load(
            {FIELD: f"{HERE}slow", "media.1.data": f"{HERE}missing"}
        )
    assert failed.value.params == (("media.1.data", "was answered with the status 404"),)
    assert time.monotonic() - began < AT_ONCE_S


async def test_files_keep_their_names(internet: Internet) -> None:
    internet.answers = {f"files.example/{n}": ok(b64encode(bytes([n]))) for n in range(10)}
    urls = {f"media.{number}.data": f"{HERE}{number}" for number in range(10)}
    loaded = await UrlMediaLoader().load(urls)
    assert loaded == {f"media.{n}.data": b64encode(bytes([n])) for n in range(10)}


async def test_redirects_are_followed_so_far_and_no_further(internet: Internet) -> None:
    internet.answers |= {
        f"files.example/{number}": redirect(str(number + 1)) for number in range(MAX_REDIRECTS)
    }
    internet.answers[f"files.example/{MAX_REDIRECTS}"] = ok(b"found")
    assert await UrlMediaLoader().load({FIELD: f"{HERE}0"}) == {FIELD: b"found"}


async def test_a_redirect_loop_ends(internet: Internet, load: Load) -> None:
    with pytest.raises(InvalidRequestError, match=f"more than {MAX_REDIRECTS} redirects"):
        await load(redirect("/"))
    assert len(internet.requests) == 1 + MAX_REDIRECTS


async def test_a_redirect_to_nowhere_is_not_a_file(load: Load) -> None:
    with pytest.raises(InvalidRequestError, match="with the status 302"):
        await load(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n")
