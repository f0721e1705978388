"""Frames, byte for byte."""

import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrun.domain.events import (
    Cancelled,
    ContentDelta,
    Error,
    Metrics,
    Paused,
    PendingApproval,
    ReasoningDelta,
    RecordedEvent,
    RunEvent,
    Start,
    Stop,
    ToolEnd,
    ToolError,
    ToolStart,
)
from agentrun.http.sse import PING, encode_frame, encode_stream
from tests.runs import deltas
from tests.sse_blocks import blocks


def frame(event: RunEvent, number: int = 1) -> bytes:
    return encode_frame(RecordedEvent(id=number, timestamp_ms=1_735_700_000_123, event=event))


EXACT = [
    (
        Start(run_id="r", session_id="s", agent_id="a"),
        '{"event":"START","data":"{\\"runId\\":\\"r\\",\\"sessionId\\":\\"s\\",\\"agentId\\":\\"a\\"}"',
    ),
    (ReasoningDelta(text="hm"), '{"event":"REASONING_DELTA","data":"hm"'),
    (ContentDelta(text='a"\n'), '{"event":"CONTENT_DELTA","data":"a\\"\\n"'),
    (
        ToolStart(id="c1", name="calc", arguments={"expression": "1+1"}),
        (
            '{"event":"TOOL_START","data":"{\\"id\\":\\"c1\\",\\"name\\":\\"calc\\",'
            '\\"arguments\\":{\\"expression\\":\\"1+1\\"}}"'
        ),
    ),
    (
        ToolEnd(id="c1", name="calc", result=None),
        '{"event":"TOOL_END","data":"{\\"id\\":\\"c1\\",\\"name\\":\\"calc\\",\\"result\\":null}"',
    ),
    (
        ToolError(id="c1", name="calc", error="no"),
        '{"event":"TOOL_ERROR","data":"{\\"id\\":\\"c1\\",\\"name\\":\\"calc\\",\\"error\\":\\"no\\"}"',
    ),
    (
        Metrics(input_tokens=1, cost_usd=0.5),
        '{"event":"METRICS","data":"{\\"inputTokens\\":1,\\"costUsd\\":0.5}"',
    ),
    (
        Stop(run_id="r"),
        '{"event":"STOP","data":"{\\"runId\\":\\"r\\",\\"status\\":\\"COMPLETED\\"}"',
    ),
    (
        Stop(run_id="r", followups=("x?",)),
        (
            '{"event":"STOP","data":"{\\"runId\\":\\"r\\",\\"status\\":\\"COMPLETED\\",'
            '\\"followups\\":[\\"x?\\"]}"'
        ),
    ),
    (Error(message="It failed."), '{"event":"ERROR","data":"It failed."'),
    (Cancelled(reason="asked"), '{"event":"CANCELLED","data":"asked"'),
]


@pytest.mark.parametrize(("event", "body"), EXACT, ids=lambda value: getattr(value, "event", ""))
def test_a_frame_is_an_id_line_a_data_line_and_a_blank_line(event: RunEvent, body: str) -> None:
    expected = f'id: 7\ndata: {body},"timestamp":1735700000123}}\n\n'
    assert frame(event, 7) == expected.encode()


def test_a_pause_repeats_its_first_approval() -> None:
    first = PendingApproval(
        id="c1", tool="place_order", tool_name="place_order", arguments={"n": 1}
    )
    second = PendingApproval(id="c2", tool="sell", tool_name="sell", arguments={})
    body = frame(Paused(approval_id="ap", approvals=(first, second))).split(b"data: ")[1]
    assert json.loads(json.loads(body)["data"]) == {
        "type": "TOOL_APPROVAL",
        "approvalId": "ap",
        "approvals": [
            {"id": "c1", "tool": "place_order", "toolName": "place_order", "arguments": {"n": 1}},
            {"id": "c2", "tool": "sell", "toolName": "sell", "arguments": {}},
        ],
        "tool": "place_order",
        "toolName": "place_order",
        "arguments": {"n": 1},
    }


@given(st.text())
def test_any_text_survives_and_no_reader_sees_a_line_break_in_it(text: str) -> None:
    lines = frame(ContentDelta(text=text)).decode().splitlines()
    assert len(lines) == 3
    assert json.loads(lines[1].removeprefix("data: "))["data"] == text


async def encoded(*script: list[RecordedEvent]) -> list[bytes]:
    async def batches() -> AsyncIterator[list[RecordedEvent]]:
        for batch in script:
            yield batch

    return [chunk async for chunk in encode_stream(batches())]


@pytest.mark.anyio
async def test_a_stream_says_retry_in_its_first_frame_and_fills_silence_with_comments() -> None:
    first, second, third = map(encode_frame, deltas(1, 3))
    chunks = await encoded(deltas(1, 1), [], deltas(2, 3))
    assert chunks == [b"retry: 1000\n" + first, b": ping\n", second + third]


@pytest.mark.anyio
async def test_a_comment_may_come_before_the_first_frame() -> None:
    (frame,) = map(encode_frame, deltas(7, 7))
    assert await encoded([], [], deltas(7, 7)) == [PING, PING, b"retry: 1000\n" + frame]


@pytest.mark.anyio
@given(st.lists(st.integers(0, 3), max_size=8))
async def test_every_blank_line_ends_a_block_that_has_data(sizes: list[int]) -> None:
    last, script = 0, []
    for size in sizes:
        script.append(deltas(last + 1, last + size))
        last += size
    assert [block["id"] for block in blocks(b"".join(await encoded(*script)))] == [
        str(number) for number in range(1, last + 1)
    ]
