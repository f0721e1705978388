"""Runs that last longer than the functions that execute them, and a model that counts its calls."""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx

from agentrun.domain.runs import AgentRun, RunStatus
from agentrun.service.executing.bounds import DEADLINE_RESERVE, HAND_OVER_SHARE
from tests.bedrock import Hold, Text, ToolUse
from tests.bedrock.model_server import ModelRequest
from tests.e2e.sse import Frame
from tests.endurance.client import Reader, faults_of, replay, standing_text
from tests.endurance.stack import AGENT, EnduranceStack, endurance_stack
from tests.openai_compatible import (
    TOTAL_TOKENS,
    ChatReply,
    OpenAiCompatibleServer,
    openai_compatible_server,
)

WORDS_A_SECOND = 4
CLIENT_TIMEOUT_S = 60


@dataclass(frozen=True)
class LongRun:
    """
    What became of a run.

    `hand_overs` are its executions but the first, `resets` answers that were voided, and
    `asked_twice` requests that the model had seen before.
    """

    frames: Sequence[Frame]
    hand_overs: int
    resets: int
    asked_twice: int
    faults: Sequence[str]

    @property
    def lasted_s(self) -> float:
        """From its first event to its last."""
        return (self.frames[-1].timestamp - self.frames[0].timestamp) / 1000

    @property
    def irregular_ids(self) -> int:
        """How many ids are not one above the last: gaps and duplicates."""
        return sum(frame.id != place for place, frame in enumerate(self.frames, start=1))


@dataclass(frozen=True)
class Times:
    """How long answers take that end in time, or not, where functions may take so long."""

    timeout_s: int

    @property
    def cut_after_s(self) -> float:
        """When an execution hands over in any case."""
        return self.timeout_s - DEADLINE_RESERVE.total_seconds()

    @property
    def lets_go_after_s(self) -> float:
        """From when on an execution hands over at a step's end."""
        return self.cut_after_s - self.timeout_s * HAND_OVER_SHARE

    def in_time(self, hand_overs: int) -> list[float]:
        """Return answers for so many hand-overs, each at a step's end."""
        # Two of them in each execution, a few more than needed.
        return [0.6 * self.lets_go_after_s] * (2 * hand_overs + 2)

    def made_again(self, resets: int) -> list[float]:
        """Return answers of which each second one is cut off once."""
        short_s = 0.6 * self.lets_go_after_s
        # It fits an execution of its own, but not one that has had the short one.
        long_s = self.cut_after_s - 0.5 * short_s
        return [short_s, long_s] * resets + [short_s]


@contextmanager
def short_lived_stack(
    scratch: Path, *, timeout_s: int
) -> Iterator[tuple[EnduranceStack, OpenAiCompatibleServer]]:
    """Run a stack whose functions may take so long, and the model that it asks."""
    with openai_compatible_server() as model:
        parameters = [f"{name}={timeout_s}" for name in ("StreamTimeout", "WorkerTimeout")]
        options = [part for parameter in parameters for part in ("--parameter", parameter)]
        with endurance_stack(
            scratch, "--model", "openai:served", *options, variables=model.environment
        ) as stack:
            yield stack, model


def long_run(
    stack: EnduranceStack, model: OpenAiCompatibleServer, answers_s: Sequence[float]
) -> LongRun:
    """
    Execute a run that a client follows to its end.

    Args:
        stack: Whose functions' time is shorter than the run's.
        model: What it asks.
        answers_s: How long each answer takes; all but the last call a tool.
    """
    before = len(model.requests)
    model.always(lambda request: _answer(request, answers_s))
    with stack.local.client("function_url") as client:
        client.timeout = httpx.Timeout(CLIENT_TIMEOUT_S)
        body = {"message": "Take your time."}
        reader = Reader(client, AGENT, body, str(uuid4()), decide=_never_paused)
        reader.read(within_s=60 + 3 * sum(answers_s))
        assert reader.run_id is not None
        replayed = replay(client, AGENT, reader.run_id)
    asked = Counter(_answered(request) for request in model.requests[before:])
    kinds = Counter(frame.event for frame in reader.frames)
    faults = [*faults_of(reader.frames, replayed), *model.refused]
    faults += _faults(stack.now(reader.run_id), reader.frames, answers_s)
    asked_twice = asked.total() - len(answers_s)
    if asked_twice != kinds["STEP_RESET"]:
        faults.append(f"the model was asked {asked_twice} times again: {dict(asked)}")
    return LongRun(reader.frames, kinds["START"] - 1, kinds["STEP_RESET"], asked_twice, faults)


def _faults(run: AgentRun, frames: Sequence[Frame], answers_s: Sequence[float]) -> Iterator[str]:
    if (run.status, run.attempt) != (RunStatus.COMPLETED, 1):
        yield f"the run is {run.status} after {run.attempt} attempts: {run.error_message}"
    if [frame.id for frame in frames] != list(range(1, len(frames) + 1)):
        yield f"the ids have gaps or duplicates: {[frame.id for frame in frames]}"
    if standing_text(frames) != run.output or run.output != _all_text(answers_s):
        yield "the client's text, the output and the model's text are not the same"
    # What was voided is counted besides, by its text.
    is_whole = all(frame.event != "STEP_RESET" for frame in frames)
    reported = TOTAL_TOKENS * len(answers_s)
    if (run.total_tokens or 0) < reported or (is_whole and run.total_tokens != reported):
        yield f"{run.total_tokens} tokens are counted for {len(answers_s)} answers"


def _answer(request: ModelRequest, answers_s: Sequence[float]) -> ChatReply:
    place = _answered(request)
    steps: list[Text | Hold | ToolUse] = []
    for number, word in enumerate(_words(place, answers_s[place]), start=1):
        steps += [Text(word), _until(number / WORDS_A_SECOND)]
    if place < len(answers_s) - 1:
        arguments = {"step": place, "before_s": 0, "after_s": 0.1}
        steps.append(ToolUse(f"call_{place}", "look", arguments))
    return ChatReply(*steps)


def _answered(request: ModelRequest) -> int:
    return sum(message["role"] == "tool" for message in request.body["messages"])


def _until(seconds: float) -> Hold:
    """Say nothing until so long after this moment, which is the request's."""
    passed = threading.Event()
    timer = threading.Timer(seconds, passed.set)
    timer.daemon = True
    timer.start()
    return Hold(passed)


def _words(place: int, lasts_s: float) -> list[str]:
    return [f"{place}.{number} " for number in range(round(lasts_s * WORDS_A_SECOND))]


def _all_text(answers_s: Sequence[float]) -> str:
    return "".join("".join(_words(place, lasts_s)) for place, lasts_s in enumerate(answers_s))


def _never_paused(paused: object) -> dict[str, object]:
    raise AssertionError(f"the run paused: {paused}")
