"""
The table of faults: the fault, the operation that meets it, how long it lasts, what a client sees.

test_faults_table.py and test_faults_passing_on.py have a test for each row. docs/reliability.md
shows the table, and a test keeps the two equal.
"""

from dataclasses import dataclass
from enum import StrEnum

from tests.fakes.faults import FOR_EVER, Fault


class Length(StrEnum):
    """How long a fault lasts; one call of botocore's is three attempts."""

    ATTEMPT = "one attempt"
    CALL = "one call"
    LASTING = "until the end"


TIMES = {Length.ATTEMPT: 1, Length.CALL: 3, Length.LASTING: FOR_EVER}


class Seen(StrEnum):
    """What comes of it for the client; each is a check below."""

    NOTHING = "nothing"
    REFUSED = "503"
    ORPHAN = "503, one dead run"
    BROKEN = "broken off"
    SAID_LATER = "broken off, end in the log"
    WAITS = "waits"
    LATER = "told as RUNNING"
    AGAIN = "step made again"
    LEASE = "goes on a lease later"


OPERATIONS = (
    "start",
    "segment",
    "heartbeat",
    "output",
    "finish",
    "status",
    "batch",
    "attach",
    "replay",
    "repair",
    "batch repair",
    "cancel",
    "step",
    "hand over",
    "take over",
    "ask",
)
FAULTS = (
    Fault.THROTTLED,
    Fault.SERVER_ERROR,
    Fault.TIMED_OUT,
    Fault.REPLY_LOST,
    Fault.REFUSED,
    Fault.SLOW,
    Fault.UNPROCESSED,
)
WRITES = frozenset({"start", "segment", "heartbeat", "output", "finish"})
PASSING_ON = frozenset({"step", "hand over", "take over", "ask"})
"""How a run that may be executed several times passes from one executor to the next."""
WAITED_FOR = WRITES | {"replay", "step", "hand over", "take over"}
"""What is tried again after a whole call has failed."""
LASTING = {
    "step": Seen.WAITS,
    "hand over": Seen.AGAIN,
    "take over": Seen.WAITS,
    "start": Seen.REFUSED,
    "segment": Seen.BROKEN,
    "heartbeat": Seen.NOTHING,
    "output": Seen.BROKEN,
    "finish": Seen.BROKEN,
    "replay": Seen.WAITS,
}
REPLIES_LOST = {
    "start": Seen.ORPHAN,
    "finish": Seen.SAID_LATER,
    "hand over": Seen.NOTHING,
}


@dataclass(frozen=True)
class Row:
    operation: str
    length: Length
    fault: Fault
    seen: Seen

    def __str__(self) -> str:
        return f"{self.operation} | {self.length} | {self.fault} | {self.seen}"


def expected(operation: str, length: Length, fault: Fault) -> Seen | None:
    """Say what a client sees; None where there is no such row."""
    if fault is Fault.UNPROCESSED:
        several = Seen.REFUSED if length is Length.LASTING else Seen.NOTHING
        return several if operation == "batch" else None
    if fault is Fault.SLOW:
        is_write = operation in WRITES | PASSING_ON
        return Seen.NOTHING if is_write and length is Length.ATTEMPT else None
    if (operation, fault) == ("take over", Fault.REPLY_LOST) and length is not Length.ATTEMPT:
        return Seen.LEASE
    if length is Length.LASTING:
        lost = REPLIES_LOST.get(operation) if fault is Fault.REPLY_LOST else None
        # Where one call's failure is the request's, a longer fault changes nothing.
        return lost or LASTING.get(operation)
    if length is Length.ATTEMPT or operation in WAITED_FOR:
        return Seen.NOTHING
    return Seen.LATER if operation in {"batch repair", "ask"} else Seen.REFUSED


ROWS = [
    Row(operation, length, fault, seen)
    for operation in OPERATIONS
    for length in Length
    for fault in FAULTS
    if (seen := expected(operation, length, fault))
]
UNNOTICED = [
    (length, fault)
    for length in Length
    for fault in FAULTS
    if {r.operation for r in ROWS if (r.length, r.fault, r.seen) == (length, fault, Seen.NOTHING)}
    >= WRITES
]
NOTICED = [
    row for row in ROWS if row.operation in WRITES and (row.length, row.fault) not in UNNOTICED
]
READS = [row for row in ROWS if row.operation in {"status", "batch", "attach", "replay"}]
READERS_WRITES = [row for row in ROWS if row.operation in {"repair", "batch repair", "cancel"}]
PASSING = [row for row in ROWS if row.operation in PASSING_ON]
