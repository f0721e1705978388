"""The answers of runs: a stream of events, or one result."""

from starlette.responses import Response, StreamingResponse

from agentrun.http.bodies import json_answer, result_body
from agentrun.http.sse import MEDIA_TYPE, encode_stream
from agentrun.service.executing.execution import RunExecution
from agentrun.service.reading.follow import RunFollower
from agentrun.service.reading.result import RunStream, collect_result

_AGAINST_BUFFERING = {
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}


def stream_answer(stream: RunStream, *, ping_after_s: float) -> Response:
    """
    Stream a run's events, live or from its log; 204 where nothing is left of it.

    Args:
        stream: The run.
        ping_after_s: Seconds of silence after which the stream says that it is alive.
    """
    # Of a run that is replayed only its reader fails.
    on_failure = stream.fail if isinstance(stream, RunExecution) else lambda: None
    names = {"X-Run-Id": stream.run.id, "X-Session-Id": stream.run.session_id}
    names |= _replayed_header(stream)
    if isinstance(stream, RunFollower) and stream.has_nothing_left:
        return Response(status_code=204, headers=names)
    return StreamingResponse(
        encode_stream(stream.batches(idle_s=ping_after_s), on_failure=on_failure),
        headers=_AGAINST_BUFFERING | names,
        media_type=MEDIA_TYPE,
    )


async def result_answer(stream: RunStream) -> Response:
    """
    Answer with a run's result once it has ended.

    Raises:
        RunFailedError: The run has failed.
    """
    body = result_body(await collect_result(stream))
    return json_answer(body, headers=_replayed_header(stream))


def _replayed_header(stream: RunStream) -> dict[str, str]:
    """Say that the request has led to a run that it had started before."""
    is_replay = isinstance(stream, RunFollower) and stream.is_replay
    return {"Idempotent-Replayed": "true"} if is_replay else {}
