"""Runs of three steps whose executors are killed at random moments."""

import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import zip_longest
from threading import Event, Thread
from typing import Any

import httpx

from agentrun.domain.runs import AgentRun, RunStatus
from tests.e2e.sse import Frame
from tests.endurance.client import Reader, faults_of, replay, standing_text
from tests.endurance.plan import Plan, plan_of
from tests.endurance.stack import AGENT, Effects, EnduranceStack

WITHIN_S = 300
"""No run takes longer: it is killed three times at most, and each costs 30 s at most."""
LOOK_S = 0.02
CLIENT_TIMEOUT_S = 60
ATTACH_BUDGET_S, QUEUE_BUDGET_S = 20, 30
"""From a kill to the first event of who takes over (docs/architecture.md)."""


@dataclass(frozen=True)
class KilledRun:
    """What became of one run."""

    plan: Plan
    kills: Sequence[float]
    scene: "Scene"
    faults: Sequence[str]
    take_overs_s: Sequence[float] = ()
    effects: Sequence[Effects] = ()


@dataclass
class Killer:
    """Kills the executors of one run, each at its moment."""

    stack: EnduranceStack
    session_id: str
    moments_s: Sequence[float]
    kills: list[float] = field(default_factory=list)
    """When, in seconds of Unix time."""
    is_over: Event = field(default_factory=Event)

    def work(self) -> None:
        for moment_s in self.moments_s:
            while self.stack.executor_of(self.session_id) is None:
                if self.is_over.wait(LOOK_S):
                    return
            if self.is_over.wait(moment_s):
                return
            at = time.time()
            if self.stack.kill(self.session_id):
                self.kills.append(at)


def killed_runs(
    stack: EnduranceStack, *, runs: int, seed: int, at_once: int, most_kills: int = 3
) -> list[KilledRun]:
    """Execute so many runs, half of them in the background, and kill their executors."""
    plans = [plan_of(seed, number, most_kills=most_kills) for number in range(runs)]
    with ThreadPoolExecutor(at_once) as places:
        return list(places.map(lambda plan: _killed_run(stack, plan), plans))


def _killed_run(stack: EnduranceStack, plan: Plan) -> KilledRun:
    killer = Killer(stack, plan.session_id, plan.moments_s)
    killing = Thread(target=killer.work)
    killing.start()
    # The Function URL has no background runs.
    door = "function_url" if plan.number % 4 == 0 else "rest_api"
    with stack.local.client(door) as client:
        client.timeout = httpx.Timeout(CLIENT_TIMEOUT_S)
        scene = Scene(stack, plan, client)
        try:
            seen = scene.streamed() if plan.is_streamed else scene.in_background()
        except (AssertionError, httpx.HTTPError) as error:
            return KilledRun(plan, killer.kills, scene, [f"{type(error).__name__}: {error}"])
        finally:
            killer.is_over.set()
            killing.join()
    return _judged(stack, scene, killer.kills, seen)


def _judged(
    stack: EnduranceStack, scene: "Scene", kills: Sequence[float], seen: Sequence[Frame]
) -> KilledRun:
    run = stack.now(scene.run_id)
    with stack.local.client("function_url") as one, stack.local.client("rest_api") as other:
        first, second = (replay(client, AGENT, run.id) for client in (one, other))
    faults = [*_faults(stack, run, scene), *faults_of(seen or first, first)]
    if [frame.raw for frame in first] != [frame.raw for frame in second]:
        faults.append("two readers' replays differ")
    if standing_text(seen or first) != run.output:
        faults.append(f"the client's text is not the output: {standing_text(seen or first)!r}")
    took_s = list(take_overs_s(first, kills))
    return KilledRun(scene.plan, kills, scene, faults, took_s, stack.effects(run.id))


class Scene:
    """One run, with its client, and the human who answers its pauses."""

    def __init__(self, stack: EnduranceStack, plan: Plan, client: httpx.Client) -> None:
        self.run_id = ""
        self.doubts = 0
        self.not_run_again = 0
        """Calls in doubt that were not approved, so that they may have had no effect."""
        self.plan = plan
        self._stack = stack
        self._client = client
        self._chance = random.Random(plan.session_id)
        self._body = {"message": plan.message, "sessionId": plan.session_id}

    def streamed(self) -> list[Frame]:
        """Read the run to its end as a client does."""
        reader = Reader(self._client, AGENT, self._body, self.plan.session_id, self._decide)
        try:
            reader.read(within_s=WITHIN_S)
        finally:
            self.run_id = reader.run_id or ""
        return reader.frames

    def in_background(self) -> list[Frame]:
        """Wait for the run's end, without a poll; nobody sees its events."""
        path = f"/api/agents/{AGENT}/runs"
        answer = self._client.post(f"{path}/background", json=self._body)
        assert answer.status_code == 202, answer.text
        self.run_id = answer.json()["runId"]
        deadline = time.monotonic() + WITHIN_S
        while not (run := self._stack.now(self.run_id)).status.is_terminal:
            assert time.monotonic() < deadline, f"run {run.id} does not end: {run.status}"
            if run.status is RunStatus.PAUSED:
                self._continue(run, path)
            time.sleep(0.5)
        return []

    def _continue(self, run: AgentRun, path: str) -> None:
        """Decide, and go away at once: nobody reads how it goes on."""
        assert run.required_action is not None
        paused = run.required_action.model_dump(mode="json", by_alias=True)
        decided = self._decide(paused)
        headers = {"Accept": "text/event-stream"}
        try:
            with self._client.stream(
                "POST", f"{path}/{run.id}/continue", json=decided, headers=headers
            ) as answer:
                assert answer.status_code in {200, 409, 500, 502, 503}, answer.read()
        except httpx.TransportError:
            # Killed meanwhile; the run is PAUSED again, or goes on.
            pass

    def _decide(self, paused: Mapping[str, Any]) -> dict[str, Any]:
        """Answer calls in doubt: whether they have run is known here, by their effects."""
        assert paused["type"] == "TOOL_IN_DOUBT", paused
        run_id = str(paused["approvalId"]).rpartition(".")[0]
        effects = self._stack.effects(run_id)
        decisions = []
        for pending in paused["approvals"]:
            self.doubts += 1
            call_id = pending["id"]
            answers: list[dict[str, Any]] = [
                {"id": call_id, "action": "REJECT"},
                {"id": call_id, "action": "APPROVE", "result": "as somebody says"},
            ]
            if not any(effect.call_id.endswith(call_id) for effect in effects):
                answers.append({"id": call_id, "action": "APPROVE"})
            decision = self._chance.choice(answers)
            if decision != {"id": call_id, "action": "APPROVE"}:
                self.not_run_again += 1
            decisions.append(decision)
        return {"decisions": decisions}


def _faults(stack: EnduranceStack, run: AgentRun, scene: Scene) -> Iterator[str]:
    if run.status is not RunStatus.COMPLETED:
        yield f"the run is {run.status}: {run.error_type} {run.error_message}"
    effects = stack.effects(run.id)
    yield from (
        f"{effect.tool} had {effect.count} effects in the call {effect.call_id}"
        for effect in effects
        if effect.tool != "look" and effect.count != 1
    )
    planned = Counter(call.tool for call in scene.plan.calls)
    seen = Counter(effect.tool for effect in effects)
    left_out = planned - seen
    # What was in doubt and not run again may have had its effect, or not.
    if seen - planned or set(left_out) - {"act_once"} or left_out.total() > scene.not_run_again:
        yield f"effects of {dict(seen)}, not of {dict(planned)}"


def take_overs_s(replayed: Sequence[Frame], kills: Sequence[float]) -> Iterator[float]:
    """Yield how long a run waited for its next executor's first event, which was stored."""
    for at, next_kill in zip_longest(kills, kills[1:], fillvalue=float("inf")):
        said_at = [frame.timestamp / 1000 for frame in replayed]
        ended = [said for said, frame in zip(said_at, replayed, strict=True) if said <= at]
        after = [said for said in said_at if said > at]
        # Killed after the run had ended or paused, there was nothing to take over. Killed again
        # before it could say anything, the second kill counts.
        was_over = bool(ended) and replayed[len(ended) - 1].event in {"STOP", "PAUSED"}
        if after and after[0] <= next_kill and not was_over:
            yield after[0] - at
