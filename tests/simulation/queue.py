"""A queue as SQS is one, and the mapping that hands its messages to workers."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from agentrun.domain.runs import RunKey
from tests.simulation.world import World

MAX_RECEIVES = 5
POLLS_AGAIN_AFTER_S = 0.5


@dataclass
class Message:
    """One message in the queue, visible from `visible_at` on; `receipt` is its last one."""

    number: int
    key: RunKey
    visible_at: float
    received: int = 0
    is_gone: bool = False


@dataclass(frozen=True)
class Held:
    """The port `HeldMessage`: a message as one receiver has it."""

    queue: "SimulatedQueue"
    message: Message
    received: int

    @property
    def key(self) -> RunKey:
        return self.message.key

    def keep_for(self, time: timedelta) -> bool:
        return self.queue.hide(self, time.total_seconds())

    def done(self, *, is_done: bool) -> None:
        """Delete the message, or let it come again once its time is over."""
        if is_done:
            self.message.is_gone = True


class SimulatedQueue:
    """
    The port `RunQueue`: delivers each message at least once, in any order.

    Args:
        world: Its time.
        work: Hands a message to a worker; returns whether one is free.
        hidden_s: How long a message that was received is hidden if nobody says otherwise.
        copies: How often the next message comes.
    """

    def __init__(
        self,
        world: World,
        work: Callable[[Held], bool],
        *,
        hidden_s: float,
        copies: Callable[[], int] = lambda: 1,
    ) -> None:
        self._world = world
        self._work = work
        self._hidden_s = hidden_s
        self._copies = copies
        self.messages: list[Message] = []
        self.dead_letters: list[Message] = []
        self.deliveries = 0

    def send(self, key: RunKey, *, delay: timedelta = timedelta()) -> None:
        for _ in range(self._copies()):
            at = self._world.now + delay.total_seconds()
            message = Message(len(self.messages) + 1, key, at)
            self.messages.append(message)
            self._world.note("the queue", f"takes message {message.number} for {key.run_id}")
            self._look_at(message, at)

    @property
    def left(self) -> list[Message]:
        """The messages that are still to be worked off."""
        return [message for message in self.messages if not message.is_gone]

    def hide(self, held: Held, time_s: float) -> bool:
        """Hide a message for so long, unless it is another receiver's by now."""
        message = held.message
        if message.is_gone or message.received != held.received:
            return False
        message.visible_at = self._world.now + time_s
        self._look_at(message, message.visible_at)
        return True

    def _look_at(self, message: Message, at: float) -> None:
        self._world.timeline.at(at, lambda: self._deliver(message))

    def _deliver(self, message: Message) -> None:
        if message.is_gone or message.visible_at > self._world.now or self._world.is_over:
            return
        if message.received == MAX_RECEIVES:
            self._world.note("the queue", f"message {message.number} is a dead letter")
            message.is_gone = True
            self.dead_letters.append(message)
            return
        if not self._work(Held(self, message, message.received + 1)):
            self._look_at(message, self._world.now + POLLS_AGAIN_AFTER_S)
            return
        self.deliveries += 1
        message.received += 1
        message.visible_at = self._world.now + self._hidden_s
        self._look_at(message, message.visible_at)
