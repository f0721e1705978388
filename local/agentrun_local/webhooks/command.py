"""`agentrun webhooks listen`: what is printed, and the exit status."""

import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

from agentrun.domain.webhooks import WebhookSecret, WebhookSecretError
from agentrun_local.commands.options import state_folder
from agentrun_local.errors import LocalStackError
from agentrun_local.machine.webhook_secret import webhook_secret
from agentrun_local.webhooks.receiver import Arrival, receiver


@dataclass(frozen=True)
class ListenOptions:
    """Where to listen, whose webhooks, and for how many."""

    port: int
    secret: str | None = field(repr=False)
    count: int | None
    json: bool
    template: Path


class ListenError(LocalStackError):
    """The command cannot begin: the port is taken, or the secret has the wrong form."""


def run_listen(options: ListenOptions) -> int:
    """
    Print and verify webhooks, and return the exit status: 1 if one of them did not verify.

    Raises:
        ListenError: See there.
    """
    counted = _Arrivals(as_json=options.json, at_most=options.count)
    try:
        server = receiver(options.port, _secret(options), counted.add)
    except (OSError, OverflowError) as error:
        raise ListenError(f"Cannot listen on port {options.port}: {error}.") from error
    with server:
        # So that Ctrl-C ends nothing in mid-answer, the server has a thread of its own.
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
        thread.start()
        print(f"Listening on http://127.0.0.1:{server.server_port}/", file=sys.stderr, flush=True)
        try:
            counted.enough.wait()
        except KeyboardInterrupt:
            pass
        finally:
            server.shutdown()
            thread.join()
    return 1 if counted.has_fault else 0


def _secret(options: ListenOptions) -> WebhookSecret:
    folder = state_folder(options.template)
    try:
        return WebhookSecret.read(options.secret or webhook_secret(folder))
    except WebhookSecretError as error:
        raise ListenError(f"--secret: {error}.") from error


class _Arrivals:
    """Prints what arrives, one after the other, until there is enough of it."""

    def __init__(self, *, as_json: bool, at_most: int | None) -> None:
        self.enough = threading.Event()
        self.has_fault = False
        self._as_json = as_json
        self._left = at_most
        self._lock = threading.Lock()

    def add(self, arrival: Arrival) -> None:
        with self._lock:
            self.has_fault |= arrival.fault is not None
            print(arrival.as_json() if self._as_json else arrival.shown(), flush=True)
            if self._left is not None:
                self._left -= 1
                if self._left <= 0:
                    self.enough.set()
