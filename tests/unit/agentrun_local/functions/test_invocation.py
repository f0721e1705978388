"""A response is handed over piece by piece, and never blocks on a reader that is gone."""

import asyncio

import pytest

from agentrun_local.functions.invocation import FunctionError, Invocation, ResponseHead

HEAD = ResponseHead(streaming=True, content_type="x")
pytestmark = pytest.mark.anyio


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_chunks_come_out_one_by_one_and_in_order() -> None:
    invocation = Invocation(b"{}")
    invocation.begin(HEAD)
    body = aiter(invocation.body())
    for chunk in (b"one", b"two"):
        await invocation.write(chunk)
        assert await anext(body) == chunk
    invocation.end()
    assert [chunk async for chunk in body] == []
    assert await invocation.head() == HEAD


async def test_an_error_comes_after_the_bytes_before_it() -> None:
    invocation = Invocation(b"{}")
    invocation.begin(HEAD)
    await invocation.write(b"one")
    invocation.fail(FunctionError("Told", "as told"))
    body = aiter(invocation.body())
    assert await anext(body) == b"one"
    with pytest.raises(FunctionError, match="Told: as told"):
        await anext(body)


async def test_an_error_before_the_response_meets_those_who_wait_for_it() -> None:
    invocation = Invocation(b"{}")
    waiting = asyncio.ensure_future(invocation.head())
    await turns()
    invocation.fail(FunctionError("Told", "as told"))
    with pytest.raises(FunctionError):
        await waiting


async def test_what_is_over_stays_as_it_is() -> None:
    invocation = Invocation(b"{}")
    invocation.begin(HEAD)
    invocation.end()
    invocation.fail(FunctionError("Late", ""))
    assert await invocation.payload() == b""


async def test_a_slow_reader_makes_the_writer_wait() -> None:
    invocation = Invocation(b"{}")
    invocation.begin(HEAD)
    chunk = bytes(200 * 1024)
    await invocation.write(chunk)
    second = asyncio.ensure_future(invocation.write(chunk))
    await turns()
    assert not second.done()
    body = aiter(invocation.body())
    assert len(await anext(body)) == len(chunk)
    await asyncio.wait_for(second, 5)


@pytest.mark.parametrize("how", ["abandon", "fail"])
async def test_a_writer_does_not_wait_for_a_reader_that_is_gone(how: str) -> None:
    invocation = Invocation(b"{}")
    invocation.begin(HEAD)
    writing = asyncio.ensure_future(invocation.write(bytes(1024 * 1024)))
    await turns()
    assert not writing.done()
    if how == "abandon":
        invocation.abandon()
    else:
        invocation.fail(FunctionError("Sandbox.Timedout", ""))
    await asyncio.wait_for(writing, 5)
    await asyncio.wait_for(invocation.write(bytes(1024 * 1024)), 5)
