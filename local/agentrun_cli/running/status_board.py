"""Many runs, polled together: one request for all of an agent's, up to a hundred, every 3 s."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agentrun_cli.errors import ExitStatus
from agentrun_cli.showing.figures import cost
from agentrun_cli.showing.tool_panel import duration
from agentrun_cli.terminal.documents import print_columns, print_heading, print_line
from agentrun_cli.terminal.safe_text import one_line
from agentrun_cli.terminal.screen import console, is_plain
from agentrun_cli.terminal.wire import as_wire
from agentrun_client import Client, NotFoundError, Run

if TYPE_CHECKING:
    from rich.table import Table

POLL_EVERY_S = 3.0
MISSING = "not found"
COLUMNS = {"id": 36, "status": 9, "agentId": 16, "tokens": 8, "cost": 14, "duration": 10}
_STYLES = {
    "COMPLETED": "green",
    "FAILED": "red",
    MISSING: "red",
    "CANCELLED": "yellow",
    "PAUSED": "yellow",
    "RUNNING": "cyan",
}
Row = Mapping[str, object]
Board = Mapping[str, Run | None]


class StatusBoard:
    """Knows what was last heard of each run; None of one that is not there."""

    def __init__(
        self,
        client: Client,
        run_ids: Sequence[str],
        agent: str | None,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._runs: dict[str, Run | None] = dict.fromkeys(run_ids)
        self._agents = dict.fromkeys(run_ids, agent) if agent else self._looked_up()
        self._sleep = sleep

    def _looked_up(self) -> dict[str, str | None]:
        return {run_id: self._agent_of(run_id) for run_id in self._runs}

    def _agent_of(self, run_id: str) -> str | None:
        try:
            return self._client.runs.get(run_id).agent_id
        except NotFoundError:
            return None

    @property
    def goes_on(self) -> bool:
        """Whether a run is under way."""
        return any(run is not None and run.is_under_way for run in self._runs.values())

    def wait(self) -> None:
        """Wait until it is time to look again."""
        self._sleep(POLL_EVERY_S)

    def poll(self) -> Board:
        """Ask for all runs that may have changed, agent by agent, and return all."""
        pending: dict[str, list[str]] = {}
        for run_id, run in self._runs.items():
            agent = self._agents[run_id]
            if agent is not None and (run is None or run.is_under_way):
                pending.setdefault(agent, []).append(run_id)
        for agent, run_ids in pending.items():
            self._runs |= self._client.runs.get_many(agent, run_ids, fields="summary")
        return dict(self._runs)

    def exit_status(self) -> ExitStatus:
        """Return 1 if a run has failed or is not there, 3 if one waits for a decision."""
        statuses = {None if run is None else run.status for run in self._runs.values()}
        if statuses & {None, "FAILED"}:
            return ExitStatus.FAILED
        return ExitStatus.PAUSED if "PAUSED" in statuses else ExitStatus.DONE


@contextmanager
def board_view(*, as_json: bool, is_live: bool) -> Iterator[Callable[[Board], None]]:
    """Yield what shows the board: a table that changes, or a line for each run that has changed."""
    if as_json:
        yield _Changes(_print_json)
    elif not is_live:
        yield lambda board: print_columns(COLUMNS, map(_row, board.items()), none="no runs")
    elif is_plain(console()):
        print_heading(COLUMNS)
        yield _Changes(_print_row)
    else:
        from rich.live import Live  # noqa: PLC0415

        with Live(console=console(), auto_refresh=False) as live:
            yield lambda board: live.update(_table(board), refresh=True)


class _Changes:
    """Prints the runs that are new or have changed since the last time."""

    def __init__(self, write: Callable[[str, Run | None], None]) -> None:
        self._write = write
        self._seen: dict[str, Run | None] = {}

    def __call__(self, board: Board) -> None:
        for run_id, run in board.items():
            if run_id not in self._seen or self._seen[run_id] != run:
                self._write(run_id, run)
        self._seen = dict(board)


def _print_json(run_id: str, run: Run | None) -> None:
    print_line({"id": run_id, "status": None} if run is None else as_wire(run))


def _print_row(run_id: str, run: Run | None) -> None:
    cells = _row((run_id, run))
    print(
        "  ".join(one_line(str(cells[n])).ljust(w) for n, w in COLUMNS.items()).rstrip(), flush=True
    )


def _row(item: tuple[str, Run | None]) -> Row:
    run_id, run = item
    if run is None:
        return dict.fromkeys(COLUMNS, "") | {"id": run_id, "status": MISSING}
    return {
        "id": run.id,
        "status": run.status,
        "agentId": run.agent_id,
        "tokens": "" if run.total_tokens is None else run.total_tokens,
        "cost": "" if run.cost_usd is None else cost(run.cost_usd),
        "duration": "" if run.duration_ms is None else duration(run.duration_ms),
    }


def _table(board: Board) -> "Table":
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*COLUMNS, box=None, pad_edge=False)
    for item in board.items():
        row = _row(item)
        style = _STYLES.get(str(row["status"]), "")
        table.add_row(
            *(
                Text(one_line(str(row[name])), style=style if name == "status" else "")
                for name in COLUMNS
            )
        )
    return table
