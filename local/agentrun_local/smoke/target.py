"""The stack under test: its two doors, who asks, and what has been run there so far."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from agentrun_local.smoke.connection import Connection, ExchangeError, Head
from agentrun_local.smoke.run_stream import RunStream

DEMO = "demo"


class Door(StrEnum):
    """A way into the stack; the values are those of the options."""

    REST = "rest"
    URL = "url"


class RefusedError(ExchangeError):
    """The stack refused what a check needs, with this `status`."""

    def __init__(self, asked: str, answer: "Answer") -> None:
        super().__init__(f"{asked} was answered {answer.summary}")
        self.status = answer.status


@dataclass(frozen=True)
class Limits:
    """How long things may take, in seconds; docs/deploy.md states the defaults."""

    answer_s: float = 30
    """Until the head of an answer: a cold start, with room for one more."""
    end_s: float = 10
    """From an answer's head to its end if nothing is streamed, and until the next answer."""
    silence_s: float = 25
    """Between two signs of life of a stream, which come every 10 s at the latest."""
    cancel_s: float = 3
    """From a cancel's answer to the end of its run's stream: the API's contract."""
    long_s: float = 360
    """The length of the long stream."""
    tries: int = 3
    """A door that buffers always does; a machine that is busy for a moment only looks like it."""


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    head: Head
    body: bytes

    @property
    def status(self) -> int:
        return self.head.status

    def json(self) -> Any:
        """Return the body's JSON; None if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def problem(self) -> str:
        """The name of the problem in the body, or nothing."""
        said = self.json()
        kind = said.get("type") if isinstance(said, dict) else None
        return kind.removeprefix("urn:problem-type:") if isinstance(kind, str) else ""

    @property
    def summary(self) -> str:
        """The status, and the problem's name if it is one of the API's."""
        own = self.problem if self.problem.replace("-", "").isalpha() else ""
        return f"{self.status} {own}".strip()


@dataclass(frozen=True)
class Spent:
    """What a run has used, as far as it has been reported."""

    model: str
    tokens: int = 0
    cost_usd: float | None = None


@dataclass
class Target:
    """The stack that the checks ask, and what they share."""

    doors: Mapping[Door, str]
    """Base URLs; a door without one is not checked."""
    token: str
    agent: str | None = None
    model_agent: str | None = None
    model_message: str = "Answer with the single word: ready"
    origin: str | None = None
    long: bool = False
    at_limit: int = 0
    limits: Limits = Limits()
    held_back: set[Door] = field(default_factory=set)
    """Doors at which START does not come while the run is under way."""
    sessions: list[str] = field(default_factory=list)
    spent: dict[str, Spent] = field(default_factory=dict)
    """By run id."""
    _agents: list[dict[str, Any]] | None = None
    _ended: list[RunStream] = field(default_factory=list)

    def ask(
        self,
        door: Door,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> Answer:
        """
        Send a request with a token: by default the caller's own; `""` sends none.

        Raises:
            ExchangeError: There was no whole answer in time.
        """
        with Connection(self.doors[door]) as connection:
            fields = {**self.bearer(token), **(headers or {})}
            head = connection.request(method, path, fields, within_s=self.limits.answer_s)
            pieces = connection.pieces(silent_s=self.limits.answer_s)
            return Answer(head, b"".join(piece.data for piece in pieces))

    def bearer(self, token: str | None = None) -> dict[str, str]:
        """Return the header that carries a token."""
        given = self.token if token is None else token
        return {"Authorization": f"Bearer {given}"} if given else {}

    @contextmanager
    def run(self, door: Door, message: str, agent: str | None = None) -> Iterator[RunStream]:
        """
        Start a run and yield its stream.

        Raises:
            RefusedError: The stack does not run it.
            ExchangeError: There was no answer in time.
        """
        headers = {**self.bearer(), "Content-Type": "application/json"}
        body = json.dumps({"message": message}).encode()
        path = f"{self.runs_of(agent or self.paced_agent)}/stream"
        with self._stream(door, "POST", path, headers, body) as stream:
            self.sessions.append(stream.session_id)
            self.spent[stream.run_id] = Spent(self._model_of(agent or self.paced_agent))
            yield stream

    @contextmanager
    def attach(self, door: Door, run_id: str, cursor: int) -> Iterator[RunStream]:
        """Attach to a run after an id. Raises as `run` does."""
        headers = {**self.bearer(), "Last-Event-ID": str(cursor)}
        with self._stream(door, "GET", self.stream_of(run_id), headers, b"") as stream:
            yield stream

    @contextmanager
    def _stream(
        self, door: Door, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> Iterator[RunStream]:
        with Connection(self.doors[door]) as connection:
            head = connection.request(method, path, headers, body, within_s=self.limits.answer_s)
            if head.status != 200:
                pieces = connection.pieces(silent_s=self.limits.end_s)
                answer = Answer(head, b"".join(piece.data for piece in pieces))
                raise RefusedError("a stream", answer)
            stream = RunStream(connection, head, silent_s=self.limits.silence_s)
            try:
                yield stream
            finally:
                self._note(stream)

    def _note(self, stream: RunStream) -> None:
        metrics = next((frame for frame in stream.seen if frame.event == "METRICS"), None)
        if metrics is not None and (begun := self.spent.get(stream.run_id)):
            self.spent[stream.run_id] = Spent(
                model=str(metrics.facts.get("model", begun.model)),
                tokens=int(metrics.figure("totalTokens") or 0),
                cost_usd=metrics.figure("costUsd"),
            )

    def _model_of(self, agent_id: str) -> str:
        found = (agent.get("model") for agent in self.agents if agent.get("id") == agent_id)
        return str(next(found, "a model not told"))

    def ended_run(self, number: int = 0) -> RunStream:
        """Return a run that has ended, the same one for the same number. Raises as `run` does."""
        while len(self._ended) <= number:
            with self.run(self.streaming_door, "one two three") as stream:
                stream.whole()
            self._ended.append(stream)
        return self._ended[number]

    @property
    def streaming_door(self) -> Door:
        """The door for runs where either would do."""
        return Door.URL if Door.URL in self.doors else Door.REST

    @property
    def agents(self) -> list[dict[str, Any]]:
        """
        The agents that can be run.

        Raises:
            RefusedError: The stack does not list them.
        """
        if self._agents is None:
            answer = self.ask(Door.REST, "GET", "/api/agents")
            listed = answer.json()
            if answer.status != 200 or not isinstance(listed, list):
                raise RefusedError("the list of agents", answer)
            self._agents = [agent for agent in listed if _has_id(agent)]
        return self._agents

    @property
    def paced_agent(self) -> str:
        """The agent of most checks: on the demo model, which is free and can be paced."""
        if self.agent is not None:
            return self.agent
        demo = [str(agent["id"]) for agent in self.agents if agent.get("model") == DEMO]
        first = [str(agent["id"]) for agent in self.agents]
        if not first:
            raise ExchangeError("there is no agent to run")
        return next(iter(["echo"] if "echo" in demo else demo or first))

    @property
    def can_be_paced(self) -> bool:
        """Whether that agent obeys /emit, which sets how long an answer takes; `echo` does."""
        chosen = [agent for agent in self.agents if agent["id"] == self.paced_agent]
        return any(a.get("model") == DEMO and not a.get("tools") for a in chosen)

    def paced(self, count: int, every_ms: int, after_ms: int = 0) -> str:
        """Return a message whose answer takes this long; other models are asked for a long one."""
        if self.can_be_paced:
            return f"/emit {count} every {every_ms} after {after_ms}"
        return f"Write the numbers from 1 to {count * 10} in English words, and nothing else."

    def delete_sessions(self) -> bool:
        """Delete the conversations of all runs; return whether every one is deleted."""
        deleted = []
        for session in self.sessions:
            try:
                answer = self.ask(Door.REST, "DELETE", f"/api/sessions/{session}")
                deleted.append(answer.status == 204)
            except ExchangeError:
                deleted.append(False)
        return all(deleted)

    def runs_of(self, agent: str) -> str:
        """Return the path of an agent's runs."""
        return f"/api/agents/{agent}/runs"

    def stream_of(self, run_id: str) -> str:
        """Return the path to attach to a run."""
        return f"{self.runs_of(self.paced_agent)}/{run_id}/stream"


def _has_id(agent: object) -> bool:
    return isinstance(agent, dict) and isinstance(agent.get("id"), str)
