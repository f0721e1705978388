"""A decision takes effect once, though its answers get lost."""

from dataclasses import dataclass, field

import pytest

from agentrun_client import Client, ConflictError, StreamLostError, approve
from tests.clients.python.instant import InstantClock
from tests.clients.python.recorded import (
    AGENT,
    HEAD,
    PAUSE,
    PAUSED_AND_CONTINUED,
    RUN_ID,
    STOP,
    Told,
    stream,
)
from tests.clients.python.stand_in import SILENT, Asked, Reply, serving
from tests.clients.python.test_requests import RUN, answer

CONTINUATION = PAUSED_AND_CONTINUED[4:]
CONFLICT = answer({"type": "urn:problem-type:conflict", "detail": "It is not paused."}, 409)
NEXT_PAUSE = {**PAUSE, "approvalId": f"{RUN_ID}.9"}


@dataclass
class PausedRun:
    """A run that waits, and goes on with the first decision that arrives."""

    answers: list[Reply | None]
    """To the decisions, in turn: None is the stream; others are sent in its place."""
    arrives: list[bool]
    """Whether each decision has arrived, whatever was answered."""
    told: list[Told] = field(default_factory=lambda: list(PAUSED_AND_CONTINUED))
    decided: int = 0
    pause: dict[str, object] = field(default_factory=lambda: dict(PAUSE))

    def respond(self, asked: Asked) -> Reply:
        if asked.path.endswith("/continue"):
            return self._decide()
        if asked.path.endswith("/stream"):
            seen = self.told if self.decided else self.told[:4]
            follows = [told for told in seen if told[0] > asked.last_event_id]
            return Reply(200, HEAD, [stream(follows)]) if follows else Reply(204)
        if self.decided and self.pause["approvalId"] == PAUSE["approvalId"]:
            return answer(RUN)
        return answer({**RUN, "status": "PAUSED", "requiredAction": self.pause})

    def _decide(self) -> Reply:
        said = self.answers.pop(0)
        if self.arrives.pop(0):
            if self.decided:
                return CONFLICT
            self.decided += 1
        return Reply(200, HEAD, [stream(CONTINUATION)]) if said is None else said


def sent(paths: list[str]) -> list[str]:
    """Return what was asked for, in short."""
    last = [path.rpartition("/")[2] for path in paths]
    return ["look" if step == RUN_ID else step for step in last]


def resumed(run: PausedRun) -> tuple[list[str], list[int]]:
    with serving(run.respond) as server, Client(server.url, "t", clock=InstantClock()) as client:
        reading = client.runs.resume(AGENT, RUN_ID, approve())
        ids = [event.id for event in reading]
        requests = sent(server.paths())
        # The whole run's, though this stream began in its middle.
        assert reading.text() == "é done"
        assert reading.text_so_far == "done"
    return requests, ids


def test_a_decision_is_sent_once() -> None:
    assert resumed(PausedRun([None], [True])) == (["look", "continue"], [5, 6, 7, 8, 9, 10])


def test_a_decision_that_did_not_arrive_is_sent_again() -> None:
    run = PausedRun([SILENT, None], [False, True])
    assert resumed(run) == (["look", "continue", "look", "continue"], [5, 6, 7, 8, 9, 10])


@pytest.mark.parametrize("lost", [SILENT, Reply(502), Reply(504), Reply(200, HEAD, [], end="lost")])
def test_a_decision_whose_answer_was_lost_is_not_sent_again(lost: Reply) -> None:
    requests, ids = resumed(PausedRun([lost], [True]))
    assert requests == ["look", "continue", "look", "stream"]
    assert ids == [5, 6, 7, 8, 9, 10]


def test_a_continuation_that_breaks_off_is_attached_to() -> None:
    broken = Reply(200, HEAD, [stream(CONTINUATION[:2])], end="lost")
    requests, ids = resumed(PausedRun([broken], [True]))
    assert requests == ["look", "continue", "stream"]
    assert ids == [5, 6, 7, 8, 9, 10]


def test_a_decision_that_arrived_late_is_its_own_conflict() -> None:
    run = PausedRun([SILENT, CONFLICT], [False, False])

    def respond(asked: Asked) -> Reply:
        reply = run.respond(asked)
        if reply is CONFLICT:
            # The first one has just been executed, behind the second one's back.
            run.decided += 1
        return reply

    with serving(respond) as server, Client(server.url, "t", clock=InstantClock()) as client:
        ids = [event.id for event in client.runs.resume(AGENT, RUN_ID, approve())]
    assert sent(server.paths()) == ["look", "continue", "look", "continue", "stream"]
    assert ids == [5, 6, 7, 8, 9, 10]


def test_the_next_pause_is_not_decided_by_a_repetition() -> None:
    told = [*PAUSED_AND_CONTINUED[:8], (9, "PAUSED", NEXT_PAUSE)]
    run = PausedRun([SILENT], [True], told=told, pause=dict(PAUSE))

    def respond(asked: Asked) -> Reply:
        if run.decided:
            run.pause = dict(NEXT_PAUSE)
        return run.respond(asked)

    with serving(respond) as server, Client(server.url, "t", clock=InstantClock()) as client:
        reading = client.runs.resume(AGENT, RUN_ID, approve())
        events = list(reading)
        requests = sent(server.paths())
    assert requests == ["look", "continue", "look", "stream", "stream"]
    assert [event.id for event in events] == [5, 6, 7, 8, 9]
    assert events[-1].event == "PAUSED"


def test_somebody_elses_decision_is_a_conflict() -> None:
    run = PausedRun([CONFLICT], [True])
    with (
        serving(run.respond) as server,
        Client(server.url, "t", clock=InstantClock()) as client,
        pytest.raises(ConflictError, match="not paused"),
    ):
        client.runs.resume(AGENT, RUN_ID, approve()).text()


def test_a_run_that_is_not_paused_is_not_decided() -> None:
    with (
        serving(lambda _: answer(RUN)) as server,
        Client(server.url, "t", clock=InstantClock()) as client,
        pytest.raises(ConflictError, match="COMPLETED"),
    ):
        client.runs.resume(AGENT, RUN_ID, approve()).text()
    assert sent(server.paths()) == ["look"]


def test_a_decision_is_given_up_after_some_tries() -> None:
    run = PausedRun([SILENT] * 20, [False] * 20)
    with (
        serving(run.respond) as server,
        Client(server.url, "t", clock=InstantClock()) as client,
        pytest.raises(Exception, match="No answer") as caught,
    ):
        client.runs.resume(AGENT, RUN_ID, approve()).text()
    assert not isinstance(caught.value, StreamLostError)
    assert sent(server.paths()).count("continue") == 4
    assert STOP["status"] == "COMPLETED"
