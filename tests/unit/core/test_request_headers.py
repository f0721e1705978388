"""Headers: which form of answer a client asks for, and where it goes on."""

import pytest
from starlette.requests import Request

from agentrun.http.request_headers import wants_stream


def request(*headers: tuple[str, str]) -> Request:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return Request({"type": "http", "method": "POST", "headers": raw})


def accepting(*lines: str) -> Request:
    return request(*(("accept", line) for line in lines))


@pytest.mark.parametrize(
    "lines",
    [
        ("text/event-stream",),
        ("TEXT/Event-Stream",),
        ("text/event-stream; charset=utf-8",),
        (" text/event-stream ;q=0.001",),
        ("application/json, text/event-stream;q=0.5",),
        ("application/json", "text/event-stream"),
        ('application/json; x="a,b", text/event-stream',),
        ("text/event-stream;q=0.0, text/event-stream;q=1",),
    ],
)
def test_a_stream_is_wanted_where_accept_names_its_type(lines: tuple[str, ...]) -> None:
    assert wants_stream(accepting(*lines))


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("",),
        ("*/*",),
        ("text/*",),
        ("application/json",),
        ("text/event-stream;q=0",),
        ("text/event-stream; Q=0.000",),
        ("text/event-stream;charset=utf-8;q=0, */*",),
        ("text/event-streams",),
        ("x-text/event-stream",),
        ('application/json; x="text/event-stream"',),
        ('application/json; x=", text/event-stream,"',),
    ],
)
def test_anything_else_is_one_json_answer(lines: tuple[str, ...]) -> None:
    assert not wants_stream(accepting(*lines))
