"""The client folds a run's events into the same result as the server does."""

import json
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from agentrun.domain import events as server
from agentrun.domain.errors import RunFailedError
from agentrun.http.bodies import result_body
from agentrun.http.sse import encode_frame
from agentrun.service.reading.result import RunResultBuilder
from agentrun_client import RunResult
from agentrun_client.following.decoding import decode_event
from agentrun_client.following.transcript import Transcript
from agentrun_client.wire import run_calls

TEXTS = st.sampled_from(["a", "ü", "\n", "\u2028", "", "🙂 "])
CALLS = st.sampled_from(["c1", "c2", "c3"])
JSON = st.sampled_from([None, 1, "x", {"a": [1.5, None]}])
RESETS = st.sampled_from(server.ResetReason)
# Not `st.builds`: it reads the aliases of fields in a model's signature, and passes both.
MIDDLE: st.SearchStrategy[server.RunEvent] = st.one_of(
    TEXTS.map(lambda text: server.ContentDelta(text=text)),
    TEXTS.map(lambda text: server.ReasoningDelta(text=text)),
    st.tuples(CALLS, JSON).map(lambda it: server.ToolStart(id=it[0], name="add", arguments=it[1])),
    st.tuples(CALLS, JSON).map(lambda it: server.ToolEnd(id=it[0], name="add", result=it[1])),
    st.tuples(CALLS, TEXTS).map(lambda it: server.ToolError(id=it[0], name="add", error=it[1])),
    st.just(server.Start(run_id="r", session_id="s", agent_id="a")),
    st.tuples(st.integers(1, 30), RESETS).map(
        lambda it: server.StepReset(to_event_id=it[0], attempt=2, reason=it[1])
    ),
)
CALL = server.PendingApproval(id="c1", tool="t", tool_name="t", arguments={"n": 1})
ENDS: st.SearchStrategy[server.RunEvent] = st.sampled_from(
    [
        server.Stop(run_id="r"),
        server.Stop(run_id="r", followups=("a?", "b?")),
        server.Cancelled(reason="Because."),
        server.Error(message="No."),
        server.Paused(approval_id="r.9", approvals=(CALL,)),
    ]
)
START = server.Start(run_id="r", session_id="s", agent_id="a")
METRICS = server.Metrics(input_tokens=1, cost_usd=0.5, model="demo")


def recorded(events: Sequence[server.RunEvent]) -> list[server.RecordedEvent]:
    return [server.RecordedEvent(number, 17, event) for number, event in enumerate(events, start=1)]


def client_result(events: Sequence[server.RecordedEvent]) -> RunResult:
    transcript = Transcript()
    for event in events:
        lines = encode_frame(event).decode().split("\n")
        transcript.add(decode_event(event.id, lines[1].removeprefix("data: ")))
    return transcript.result()


@given(st.lists(MIDDLE, max_size=30), ENDS)
def test_a_run_streamed_is_the_same_as_answered_once(
    middle: list[server.RunEvent], end: server.RunEvent
) -> None:
    events = recorded([START, *middle, METRICS, end])
    builder = RunResultBuilder()
    for event in events:
        builder.add(event)
    streamed = client_result(events)
    try:
        body = json.dumps(result_body(builder.result()))
    except RunFailedError:
        assert (streamed.status, streamed.error) == ("FAILED", "No.")
        assert streamed.text == builder.content
        return
    answered = run_calls.create("a", "m", {}).read(body.encode())
    assert without_reason(streamed) == answered


def without_reason(result: RunResult) -> RunResult:
    """A RunResponse does not say why a run was cancelled."""
    fields = {name: getattr(result, name) for name in RunResult.__slots__}
    return RunResult(**{**fields, "error": None})


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 40)), max_size=40))
def test_the_text_so_far_is_right_at_every_moment(steps: list[tuple[bool, int]]) -> None:
    transcript = Transcript()
    kept: dict[int, str] = {}
    for event_id, (is_reset, number) in enumerate(steps, start=1):
        if is_reset:
            told = json.dumps({"toEventId": number, "attempt": 2, "reason": "HANDED_OVER"})
            said = {"event": "STEP_RESET", "data": told, "timestamp": 1}
            kept = {at: text for at, text in kept.items() if at <= number}
        else:
            said = {"event": "CONTENT_DELTA", "data": f"{number} ", "timestamp": 1}
            kept[event_id] = f"{number} "
        transcript.add(decode_event(event_id, json.dumps(said)))
        assert transcript.text == "".join(kept.values())
