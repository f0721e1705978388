"""
Ends what is left when its parent is gone, even by SIGKILL.

Reads `+<pid>` and `-<pid>` lines from standard input and kills the process groups still listed when
that ends, which it does with the parent. Started as a script: the standard library only.
"""

import contextlib
import os
import signal
import sys


def main() -> None:
    """Follow standard input to its end, then kill."""
    living: set[int] = set()
    for line in sys.stdin:
        pid = int(line[1:])
        if line[0] == "+":
            living.add(pid)
        else:
            living.discard(pid)
    for pid in living:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
