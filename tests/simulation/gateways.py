"""Ports with the world in between, for any port and any method."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar, cast

from agentrun.domain.runs import AgentRun, RunKey
from tests.simulation.blocking_calls import Worker
from tests.simulation.process import Process
from tests.simulation.world import World

Port = TypeVar("Port")

READS = frozenset(
    {
        "checkpoint",
        "claimed",
        "get",
        "get_many",
        "get_state",
        "lock",
        "read",
        "request",
        "run_keys",
        "runs_of_request",
        "session",
        "sessions",
        "steps",
        "turns",
    }
)
UNCONDITIONAL = frozenset({"append", "put", "send"})


@dataclass(frozen=True)
class StoreCall:
    """One call of a port, and since when its caller waits."""

    process: str
    method: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    called_at: float
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> RunKey | None:
        """The run that it is about, if any."""
        for value in self.args:
            if isinstance(value, RunKey):
                return value
            if isinstance(value, AgentRun):
                return value.key
        return None

    @property
    def executor(self) -> str | None:
        """Who has the run's lease by this call, if it makes or renews one."""
        if self.method == "start":
            lease = self.args[0].lease
            return lease.executor if lease else None
        if self.method in {"resume", "take_over"}:
            return str(self.args[1].executor)
        return str(self.args[1])


class Recorder(Protocol):
    """Is notified of every call: before it is applied, afterwards, and when it returns."""

    def applying(self, call: StoreCall) -> None: ...

    def applied(self, call: StoreCall, result: Any) -> None: ...

    def returned(self, call: StoreCall, result: Any) -> None: ...


def _subject(args: tuple[Any, ...]) -> str | None:
    """Return the run that a call is about, if any."""
    for value in args:
        if isinstance(value, RunKey):
            return value.run_id
        if isinstance(value, AgentRun):
            return value.id
    return None


class _Gateway:
    def __init__(
        self, world: World, process: Process, port: Any, recorder: Recorder, *, is_open: bool
    ) -> None:
        self._world = world
        self._process = process
        self._port = port
        self._recorder = recorder
        self._is_open = is_open

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._port, name)
        return partial(self._call, name, member) if callable(member) else member

    def _call(self, name: str, member: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        call = StoreCall(self._process.name, name, args, kwargs, self._world.now)

        def apply() -> Any:
            self._recorder.applying(call)
            result = member(*args, **kwargs)
            self._recorder.applied(call, result)
            return result

        if self._is_open:
            worker = Worker.current()
            worker.label, worker.subject = name, _subject(args)
            call.notes["worker"] = worker
            result = apply()
        else:
            result = self._world.call(
                self._process,
                name,
                apply,
                is_write=name not in READS,
                is_conditional=name not in UNCONDITIONAL,
                subject=_subject(args),
            )
        self._recorder.returned(call, result)
        return result


def through(
    world: World, process: Process, port: Port, recorder: Recorder, *, is_open: bool = False
) -> Port:
    """
    Return a port as a process reaches it.

    With `is_open` it only records calls: the world is then below the port, closer to the store.
    """
    return cast("Port", _Gateway(world, process, port, recorder, is_open=is_open))
