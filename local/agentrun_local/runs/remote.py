"""The runs of a stack, by its REST API."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from agentrun_local.errors import LocalStackError
from agentrun_local.smoke.connection import ExchangeError
from agentrun_local.smoke.target import Answer, Door, Target

PAGE = 100
TRIES = 4
ACTIVE = ("QUEUED", "PAUSED", "RUNNING")
"""In the order in which to stop them: what waits might begin while the others end."""
_BUSY = {429, 503}


class RefusedError(LocalStackError):
    """The stack does not answer what was asked; the message says why."""

    def __init__(self, what: str, answer: Answer) -> None:
        said = answer.json()
        detail = said.get("detail") if isinstance(said, dict) else None
        super().__init__(f"{what}: {answer.status} {detail or answer.problem}".rstrip())
        self.status = answer.status


class RemoteRuns:
    """Lists, shows and cancels runs as one caller may."""

    def __init__(
        self, base_url: str, token: str, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._target = Target(doors={Door.REST: base_url}, token=token)
        self._sleep = sleep

    def listed(self, **wanted: str | None) -> Iterator[Mapping[str, Any]]:
        """
        Yield runs, the newest first, page by page.

        Raises:
            RefusedError: The stack does not list them.
            LocalStackError: It does not answer.
        """
        query = {name: value for name, value in wanted.items() if value}
        cursor: str | None = None
        while True:
            asked = {**query, "size": str(PAGE), **({"cursor": cursor} if cursor else {})}
            page = self._json("the list of runs", f"/api/v1/runs?{urlencode(asked)}")
            yield from page["content"]
            cursor = page.get("nextCursor")
            if cursor is None:
                return

    def active(self) -> Iterator[Mapping[str, Any]]:
        """Yield the runs that have not ended, those that wait first; errors as in `listed`."""
        for status in ACTIVE:
            yield from self.listed(status=status)

    def run(self, run_id: str) -> Mapping[str, Any]:
        """Return one run; errors as in `listed`."""
        return self._json(f"the run '{run_id}'", f"/api/v1/runs/{quote(run_id, safe='')}")

    def cancel(self, run_id: str) -> None:
        """Ask for a run's end, which one that has ended has had; errors as in `listed`."""
        answer = self._answer("POST", f"/api/v1/runs/{quote(run_id, safe='')}/cancel")
        if answer.status != 204:
            raise RefusedError(f"the run '{run_id}'", answer)

    def _json(self, what: str, path: str) -> Mapping[str, Any]:
        answer = self._answer("GET", path)
        said = answer.json()
        if answer.status != 200 or not isinstance(said, dict):
            raise RefusedError(what, answer)
        return said

    def _answer(self, method: str, path: str) -> Answer:
        """Ask, and ask again while the stack is busy."""
        for left in range(TRIES - 1, -1, -1):
            try:
                answer = self._target.ask(Door.REST, method, path)
            except ExchangeError as error:
                raise LocalStackError(f"{self._target.doors[Door.REST]}: {error}") from error
            if answer.status not in _BUSY or not left:
                return answer
            after = answer.head.first("retry-after")
            self._sleep(min(float(after) if after.isdigit() else 1.0, 10.0))
        raise AssertionError
