"""A program at a terminal of its own, as a person sees and types it."""

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

WAIT_S = 30.0
# Colours, cursor movements, window titles, and what readline says to the terminal.
# The last one is the beginning of a sequence whose end has not been read yet.
_SEQUENCES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[=>]"
    r"|\x1b[^@-~]*\Z|\x1b\[[^@-~]*\Z"
)


class Terminal:
    """Types into a program and reads what it prints."""

    def __init__(self, process: "subprocess.Popen[bytes]", descriptor: int) -> None:
        self._process = process
        self._descriptor = descriptor
        self._raw = b""
        self._seen_to = 0

    @property
    def raw(self) -> str:
        """All that was printed, with its control sequences."""
        return self._raw.decode("utf-8", "replace")

    @property
    def text(self) -> str:
        """All that was printed, as it can be read."""
        return _SEQUENCES.sub("", self.raw).replace("\r\n", "\n")

    def expect(self, pattern: str, *, within_s: float = WAIT_S) -> str:
        """Read on until something is printed after what was expected last; return it."""
        deadline = time.monotonic() + within_s
        while True:
            if found := re.compile(pattern).search(self.text, self._seen_to):
                self._seen_to = found.end()
                return found[0]
            left = deadline - time.monotonic()
            there = self.text[self._seen_to :]
            assert left > 0, f"never printed: {pattern}; but {there!r}"
            assert self._read(left), f"it ended without printing {pattern}; but {there!r}"

    def type(self, text: str) -> None:
        """Type text, and Enter."""
        self.press(f"{text}\r")

    def press(self, keys: str) -> None:
        """Type text alone; `\\x03` is Ctrl-C, `\\x04` Ctrl-D."""
        os.write(self._descriptor, keys.encode())

    def interrupt(self) -> None:
        """
        Press Ctrl-C where a line is read.

        Readline sees a signal that comes just before it waits only at the next key. So this waits
        until a key has been echoed, and the program sleeps until there is more.
        """
        self.press("c")
        self.expect("c")
        while not self._sleeps():
            time.sleep(0.01)
        self.press("\x03")

    def _sleeps(self) -> bool:
        """Whether the program's main thread waits for something, as /proc has it."""
        stat = Path(f"/proc/{self._process.pid}/stat")
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "S"

    def ended(self) -> int:
        """Read to the program's end, and return its exit status."""
        deadline = time.monotonic() + WAIT_S
        while self._read(deadline - time.monotonic()):
            pass
        return self._process.wait(WAIT_S)

    def _read(self, within_s: float) -> bool:
        """Read some more; False if there is no more."""
        ready, _, _ = select.select([self._descriptor], [], [], max(0.0, within_s))
        if not ready:
            return within_s > 0 and self._process.poll() is None
        try:
            piece = os.read(self._descriptor, 65536)
        except OSError:
            # Linux says so of a terminal that nobody has open any more.
            return False
        self._raw += piece
        return bool(piece)


@contextmanager
def at_terminal(
    command: Sequence[str], environment: Mapping[str, str], *, columns: int = 100
) -> Iterator[Terminal]:
    """Run a program at a terminal; it is killed at the end of the block."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=dict(environment),
        start_new_session=True,
        # Without a terminal that controls it, Ctrl-C would be no signal.
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.wait()
        with contextlib.suppress(OSError):
            os.close(ours)
