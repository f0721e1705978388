"""Callers: what they request, and how they react to the answers."""

import asyncio
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID

from agentrun.domain.conversations import Message, PastTurn
from agentrun.domain.errors import AgentrunError, SessionNotFoundError
from agentrun.domain.events import Paused, PauseType
from agentrun.domain.ports import ConversationStore
from agentrun.domain.principal import Principal
from agentrun.domain.runs import AgentRun
from agentrun.domain.value import ID_PATTERN
from agentrun.service.ports import RunPorts
from agentrun.service.reading.runs import cancel_run, get_run, get_runs
from agentrun.service.reading.sessions import delete_session, list_sessions, session_messages
from tests.simulation.exchange import ConnectionLostError, Exchange, Frame
from tests.simulation.functions import Site
from tests.simulation.ledger import ENDS, Ledger
from tests.simulation.scripts import draw_script

RUNS = "/api/agents/echo/runs"
WRITE = frozenset({"runs:write"})


def _answer_of(turn: PastTurn) -> list[Message]:
    return [
        Message(
            role="assistant", content=turn.output, created_at=turn.created_at, run_id=turn.run_id
        )
    ]


@dataclass
class Caller:
    """One user at one client, who uses everything that the API offers."""

    site: Site
    user: str
    asks: int = 2

    @property
    def ledger(self) -> Ledger:
        return self.site.ledger

    @property
    def random(self) -> Random:
        return self.site.world.random

    def _note(self, what: str) -> None:
        self.site.world.note(self.user, what)

    def _principal(self) -> Principal:
        return Principal(tenant="acme", user_id=self.user, scopes=WRITE)

    # Starting, continuing, reading streams.

    async def start(
        self,
        session: str | None,
        *,
        key: str | None = None,
        policy: str = "reject",
        message: str | None = None,
        media: bool = False,
        is_streamed: bool = True,
        patience: int = 3,
    ) -> str | None:
        """Start a run, repeat with the same key if that fails, and read it to its end."""
        message = message or self.new_message()
        body: dict[str, Any] = {"message": message}
        if session is not None:
            body["sessionId"] = session
        if media:
            body["media"] = [{"type": "image/png", "data": "https://example.com/a.png"}]
        headers = {"X-Session-Policy": policy} | ({"Idempotency-Key": key} if key else {})
        for _ in range(patience if key else 1):
            self._note(f"starts {message} in {session} {policy} {key}")
            path = f"{RUNS}/stream" if is_streamed else RUNS
            exchange = self.site.request("POST", path, user=self.user, headers=headers, body=body)
            try:
                if not is_streamed:
                    answer = await exchange.answer()
                    return answer.get("runId") if exchange.status == 200 else None
                if await exchange.head() == 200:
                    run_id = exchange.headers["x-run-id"]
                    await self.follow(exchange, run_id, 0, f"start by {self.user}")
                    return run_id
                if exchange.status != 503:
                    return None
            except ConnectionLostError:
                pass
            await asyncio.sleep(self.random.uniform(0.1, 3))
        return None

    async def enqueue(
        self,
        session: str | None,
        *,
        key: str | None = None,
        policy: str = "reject",
        message: str | None = None,
    ) -> str | None:
        """Start a run in the background; return its id, if it was accepted."""
        message = message or self.new_message()
        body = {"message": message} | ({"sessionId": session} if session else {})
        headers = {"X-Session-Policy": policy} | ({"Idempotency-Key": key} if key else {})
        self._note(f"enqueues {message} in {session} {policy} {key}")
        path = f"{RUNS}/background"
        exchange = self.site.request("POST", path, user=self.user, headers=headers, body=body)
        try:
            answer = await exchange.answer()
        except ConnectionLostError:
            return None
        return str(answer["runId"]) if exchange.status == 202 else None

    def new_message(self, script: Any = None) -> str:
        """Return a new message, and register what its agent does."""
        message = f"m{len(self.ledger.scripts)}"
        self.ledger.scripts[message] = script or draw_script(self.random, message, asks=self.asks)
        return message

    async def follow(self, exchange: Exchange, run_id: str, cursor: int, source: str) -> int:
        """Read a stream to its end or for as long as this reader stays; return the last id."""
        frames: list[Frame] = []
        leaves_after = self.random.choice([None, None, None, self.random.randint(1, 6)])
        try:
            async for frame in exchange.frames():
                frames.append(frame)
                self.ledger.frame_read(run_id, frame)
                if len(frames) == leaves_after:
                    break
        except ConnectionLostError:
            pass
        self.ledger.stream_read(run_id, cursor, frames, source)
        last = frames[-1] if frames else None
        said = f"{last.event} {last.id}" if last else "nothing"
        self._note(f"has read {run_id} to {said} ({source})")
        is_over = last is not None and last.event in ENDS
        if is_over or self.random.random() < 0.3:
            return last.id if last else cursor
        await asyncio.sleep(self.random.uniform(0, 5))
        return await self.attach(run_id, last.id if last else cursor)

    async def attach(self, run_id: str, cursor: int) -> int:
        """Read a run's stream after a cursor."""
        path, headers = f"{RUNS}/{run_id}/stream", {"Last-Event-ID": str(cursor)}
        exchange = self.site.request("GET", path, user=self.user, headers=headers)
        try:
            if await exchange.head() != 200:
                return cursor
        except ConnectionLostError:
            return cursor
        return await self.follow(exchange, run_id, cursor, f"attach by {self.user}")

    async def go_on(self, run_id: str, *, approves: bool, way: str) -> int | None:
        """Decide a pause in one of three ways; return the status, if there is one."""
        self._note(f"decides {run_id} by {way}: {approves}")
        action: dict[str, Any] = {"action": "APPROVE" if approves else "REJECT"}
        facts = self.ledger.runs[run_id]
        header = self.ledger.header(facts.key)
        waits_for = header.required_action if header else None
        if approves and waits_for and waits_for.type is PauseType.BUDGET:
            action["budget"] = {"maxTotalTokens": 10_000}
            facts.has_more_budget = True
        if approves and waits_for and waits_for.type is PauseType.TOOL_IN_DOUBT:
            action = self._resolved_doubt(action, waits_for)
        if way == "resolve":
            if waits_for is None:
                return None
            path = f"/api/v1/approvals/{waits_for.approval_id}/resolve"
            body = {"decision": "APPROVED" if approves else "REJECTED"}
            exchange = self.site.request("POST", path, user=self.user, body=body)
        else:
            accept = {"Accept": "text/event-stream"} if way == "stream" else {}
            path = f"{RUNS}/{run_id}/continue"
            exchange = self.site.request("POST", path, user=self.user, headers=accept, body=action)
        try:
            status = await exchange.head()
            if way == "stream" and status == 200:
                await self._follow_continuation(exchange, run_id)
            else:
                await exchange.answer()
        except ConnectionLostError:
            return None
        self._note(f"decided {run_id}: {status}")
        return status

    def _resolved_doubt(self, action: dict[str, Any], pause: Paused) -> dict[str, Any]:
        """Let calls in doubt run again, or say what they gave."""
        if self.random.random() < 0.5:
            return action
        decided = [
            {"id": call.id, "action": "REJECT", "result": "it ran"} for call in pause.approvals
        ]
        return {"decisions": decided}

    async def _follow_continuation(self, exchange: Exchange, run_id: str) -> None:
        frames: list[Frame] = []
        try:
            async for frame in exchange.frames():
                frames.append(frame)
                self.ledger.frame_read(run_id, frame)
        except ConnectionLostError:
            pass
        if frames:
            self.ledger.stream_read(run_id, frames[0].id - 1, frames, "continuation")

    # Looking, cancelling, deleting.

    async def look(self, run_id: str) -> AgentRun | None:
        """Read a run's whole state."""
        asked_at = self.site.world.now
        try:
            run = await self.site.status(
                lambda ports, _: get_run(self._principal(), "echo", run_id, ports=ports)
            )
        except (AgentrunError, ConnectionLostError) as error:
            self._note(f"looks at {run_id}: {type(error).__name__}")
            return None
        self._note(f"looks at {run_id}: {run.status} v{run.version}")
        self.ledger.state_read(run, with_text=True, source="look", asked_at=asked_at)
        return run

    async def look_at_all(self) -> None:
        """Read the states of many runs at once."""
        ids = list(self.ledger.runs)[-100:]
        if not ids:
            return
        with_text, asked_at = self.random.random() < 0.5, self.site.world.now
        try:
            runs = await self.site.status(
                lambda ports, _: get_runs(
                    self._principal(), "echo", ids, with_text=with_text, ports=ports
                )
            )
        except (AgentrunError, ConnectionLostError):
            return
        for run in runs:
            self._note(f"sees {run.id} in a batch: {run.status} v{run.version}")
            self.ledger.state_read(run, with_text=with_text, source="batch", asked_at=asked_at)

    async def cancel(self, run_id: str) -> None:
        assert ID_PATTERN.fullmatch(run_id)
        self._note(f"cancels {run_id}")
        try:
            await self.site.status(
                lambda ports, _: cancel_run(self._principal(), "echo", run_id, ports=ports)
            )
        except (AgentrunError, ConnectionLostError):
            return
        self._note(f"cancelled {run_id}")
        self.ledger.cancelled(run_id)

    async def look_into(self, session: str) -> None:
        """Read the messages of a session, and the list of sessions."""
        asked_at, ledger = self.site.world.now, self.ledger
        due = ledger.completed_in(session)
        told: dict[str, str] = {}
        is_listed, is_there = False, True

        def read(ports: RunPorts, conversations: ConversationStore) -> None:
            nonlocal is_listed
            me = self._principal()
            page = list_sessions(
                me, user_id=None, agent_id=None, size=100, conversations=conversations
            )
            is_listed = session in {listed.id for listed in page.sessions}
            said = session_messages(
                me, session, transcript=_answer_of, conversations=conversations, ports=ports
            )
            told.update({message.run_id: message.content for message in said})

        try:
            await self.site.status(read)
        except SessionNotFoundError:
            is_there = False
        except (AgentrunError, ConnectionLostError):
            return
        self._note(f"looks into {session}: {', '.join(told)}")
        if due and not (is_listed and is_there):
            ledger.is_missing(session, due, "the session")
        ledger.session_read(session, due, told, asked_at)

    async def delete(self, session: str) -> None:
        runs = [
            run_id
            for run_id, facts in self.ledger.runs.items()
            if facts.session == session and facts.user == self.user and facts.is_started
        ]
        self._note(f"deletes {session}")
        self.ledger.deletions.add(session)
        try:
            await self.site.status(
                lambda _, conversations: delete_session(
                    self._principal(), str(UUID(session)), conversations=conversations
                )
            )
        except (AgentrunError, ConnectionLostError):
            return
        self._note(f"deleted {session}: {', '.join(runs)}")
        self.ledger.deleted(runs)
