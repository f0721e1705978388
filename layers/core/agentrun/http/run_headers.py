"""The headers of answers about runs."""

from agentrun.service.attach import RunFollower
from agentrun.service.run_launcher import RunStream

_AGAINST_BUFFERING = {
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}


def stream_headers(stream: RunStream) -> dict[str, str]:
    """Give the headers of a run's stream, its content type excepted."""
    names = {"X-Run-Id": stream.run.id, "X-Session-Id": stream.run.session_id}
    return _AGAINST_BUFFERING | names | replayed_header(stream)


def replayed_header(stream: RunStream) -> dict[str, str]:
    """Say that an Idempotency-Key has led to a run that was started before."""
    is_replay = isinstance(stream, RunFollower) and stream.is_replay
    return {"Idempotent-Replayed": "true"} if is_replay else {}
