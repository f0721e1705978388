"""How a run is read to its end over connections that break."""

from collections.abc import Mapping
from http import HTTPStatus

from agentrun_client.errors import AgentrunError, ConnectionFailedError, StreamLostError
from agentrun_client.events import Cancelled, Failed, Paused, RunEvent, Start, Stop
from agentrun_client.following.decoding import decode_event
from agentrun_client.following.openings import Opening
from agentrun_client.wire import run_calls
from agentrun_client.wire.answer import Answer, error_of, unreadable
from agentrun_client.wire.call import Call
from agentrun_client.wire.reading import UnreadableError
from agentrun_client.wire.tries import Tries

SMALLEST_JUMP = 500_000
"""
A larger gap is where a run went on after a loss; a smaller one has lost events on their way.

Ids then go on 1 000 000 after the last one that was stored, and a reader may have seen some more.
"""
_ENDS = (Stop, Failed, Cancelled)

LEAST_MS = 100
"""A server that asks for no wait at all would have all tries within one."""


class Resumption:
    """
    Decides from what has happened what to send next, until the run has ended.

    A shell sends `next_call()` after `delay_s` and tells what came of it: `opened` and `take` for a
    stream, then `ended`; `answered` for any other answer; `broke` if the connection did. It hangs
    up when `hangs_up` says so.
    """

    def __init__(
        self, agent: str, opening: Opening, *, last_event_id: int | None, tries: Tries, limit: int
    ) -> None:
        """
        Begin.

        Args:
            agent: The run's agent.
            opening: What to send until the first event has come.
            last_event_id: The last one that the caller has had; None if it is not known.
            tries: Counts what fails until a stream has come.
            limit: How often in a row to re-attach without a new event.
        """
        self.run_id = opening.run_id
        self.session_id: str | None = None
        self.last_event_id = last_event_id
        self.delay_s = 0.0
        self.is_over = False
        self.hangs_up = False
        self._agent = agent
        self._opening = opening
        self._tries = tries
        self._limit = limit
        self._has_events = False
        self._was_opened = False
        self._is_replay = False
        self._asks_whether_paused = False
        self._has_asked_whether_paused = False
        self._gap: tuple[int, int] | None = None

    def next_call(self) -> Call[object]:
        """Return what to send next; there is something as long as it is not over."""
        if self._has_events and self.run_id is not None:
            return run_calls.attach(self._agent, self.run_id, self.last_event_id or 0)
        return self._opening.call()

    def opened(self, call: Call[object], headers: Mapping[str, str]) -> None:
        """Take that a stream has begun."""
        self.run_id = headers.get("x-run-id", self.run_id)
        self.session_id = headers.get("x-session-id", self.session_id)
        # Only what was said before can have a PAUSED in its middle.
        self._is_replay = call.method == "GET" or headers.get("idempotent-replayed") == "true"
        self._has_asked_whether_paused = self._asks_whether_paused
        self.hangs_up = False
        if not self._was_opened:
            self._was_opened = True
            self._tries.succeeded()
            self._tries.limit = self._limit

    def take(self, event_id: str, data: str, retry_ms: int | None) -> RunEvent | None:
        """Take a frame, and return its event if the caller has not had it."""
        if retry_ms is not None:
            self._tries.backoff = self._tries.backoff.beginning_with(max(LEAST_MS, retry_ms) / 1000)
        if not data:
            return None
        try:
            number = int(event_id)
            event = decode_event(number, data)
        except (ValueError, UnreadableError):
            # Something has spoilt the stream; another connection may be better.
            self.hangs_up = True
            return None
        if self._is_not_next(number):
            return None
        is_skipped = self._opening.skips(event)
        self._progress(event, is_skipped=is_skipped)
        return None if is_skipped else event

    def _is_not_next(self, number: int) -> bool:
        last = self.last_event_id
        if last is None or number == last + 1:
            return False
        if number <= last:
            return True
        gap = (last, number)
        if number - last < SMALLEST_JUMP and gap != self._gap:
            # Asked for again; if it is still not there, it does not exist.
            self._gap, self.hangs_up = gap, True
            return True
        return False

    def _progress(self, event: RunEvent, *, is_skipped: bool) -> None:
        self.last_event_id = event.id
        self._has_events = True
        self._asks_whether_paused = False
        self._tries.succeeded()
        if isinstance(event, Start):
            self.run_id = event.run_id or self.run_id
            self.session_id = event.session_id or self.session_id
        elif isinstance(event, _ENDS):
            self.is_over = self.hangs_up = True
        elif isinstance(event, Paused) and not is_skipped:
            # In a replay it may have been decided long ago: asking for what follows tells.
            self.hangs_up = True
            self.is_over = not self._is_replay
            self._asks_whether_paused = self._is_replay

    def ended(self) -> None:
        """Take that the stream is at its end, or was hung up."""
        if self.is_over:
            return
        if self._asks_whether_paused and not self._has_asked_whether_paused:
            self.delay_s = 0.0
            return
        self._again_after(ConnectionFailedError("The stream ended before the run did."))

    def broke(self, error: ConnectionFailedError, *, was_sent: bool) -> None:
        """
        Take that the connection broke, or did not come about.

        Raises:
            AgentrunError: It was the last try.
        """
        self._again_after(error, was_sent=was_sent)

    def answered(self, answer: Answer) -> None:
        """
        Take an answer that is no stream.

        Raises:
            AgentrunError: It is an error, and there is no other try.
        """
        if answer.status == HTTPStatus.NO_CONTENT:
            self.is_over = True
        elif not self._has_events and self._opening.takes(answer):
            self.delay_s = 0.0
        elif answer.is_error:
            self._again_after(error_of(answer), was_answered=True)
        else:
            raise unreadable(answer, "it is no event stream")

    def _again_after(
        self, error: AgentrunError, *, was_sent: bool = True, was_answered: bool = False
    ) -> None:
        if was_sent and not was_answered and not self._has_events:
            self._opening.lost()
        try:
            self.delay_s = self._tries.delay_after(error, self.next_call(), was_sent=was_sent)
        except AgentrunError as final:
            if self._asks_whether_paused:
                # The caller has the PAUSED; that nobody has decided is likely enough.
                self.is_over = True
            elif self._was_opened and self._tries.is_used_up:
                lost = StreamLostError(self.run_id, self.last_event_id or 0, self._tries.count)
                raise lost from final
            else:
                raise
