"""Whatever a model may legally say: each run ends once, and its provider takes all of it back."""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from agentrun.domain.agents import Agent
from agentrun.domain.conversations import PastTurn
from agentrun.domain.endings import Completed
from agentrun.domain.events import (
    RECORDED_EVENTS,
    ContentDelta,
    EventType,
    RecordedEvent,
    ToolEnd,
    ToolError,
    ToolStart,
)
from agentrun.domain.ports import AgentTask
from agentrun.http.sse import encode_frame
from agentrun.service.executing.execution import RunExecution
from agentrun.service.starting.slots import slot_of
from agentrun.service.starting.start_run import PendingExecution
from tests.bedrock import BedrockServer, RawToolUse, Reasoning, Reply, Text, bedrock_server
from tests.bedrock.engine_run import AGENT, Runner
from tests.bedrock.model_server import Answer, ModelServer
from tests.openai_compatible import ChatReply, OpenAiCompatibleServer, openai_compatible_server
from tests.rig import PATIENT, Rig, read_all
from tests.runs import AT, a_request, a_run

pytestmark = pytest.mark.anyio

EXAMPLES = int(os.environ.get("MODEL_ANSWERS_EXAMPLES", "15"))
"""How many conversations are tried with each provider; each is of three turns."""
# As often as the generated answers may be empty or have arguments that do not fit.
WITH_TOOLS = f"{AGENT}retries: 20\nlimits: {{request_limit: 100}}\n"
BARE = "name: Sample\ndescription: Had tools once.\nretries: 20\n"
ENDS = {EventType.STOP, EventType.ERROR, EventType.PAUSED, EventType.CANCELLED}

FRAGMENTS = st.lists(
    st.sampled_from(["", " ", "\n\n", "hi ", "\ud83d", "\ude00 there", "\u3000", "\x00", "<", "é"])
    | st.text(st.characters(), max_size=4),
    max_size=4,
)
IDS = st.sampled_from(["t1", "t1", "t2", "", "functions.add:0", "x" * 70, "é", "a b", "t1-2"])
NAMES = st.sampled_from(["add", "add", "whose", "gone", "not a name!", "n" * 80, "a\ud83d"])
INPUTS = st.sampled_from(
    [
        ('{"left": 1, ', '"right": 2}'),
        ("{}",),
        (),
        ("[1]",),
        ("null",),
        ('{"left": ',),
        ('{"left": NaN, "right": 1}',),
        ('{"greeting": "\ud83d', '\ude00"}'),
        ('{"greeting": "\ud83d"}',),
        ('{"greeting": "\\ude00\\ud83d"}',),
        ('{"greeting": " ", "\\ud83d": [1e400]}',),
    ]
)
TEXTS = FRAGMENTS.map(lambda deltas: Text(*deltas))
REASONINGS = st.builds(
    lambda deltas, signature: Reasoning(*deltas, signature=signature),
    FRAGMENTS,
    st.sampled_from([None, "signed"]),
)
CALLS = st.builds(lambda i, n, pieces: RawToolUse(i, n, *pieces), IDS, NAMES, INPUTS)
ANSWERS = st.lists(st.lists(TEXTS | REASONINGS | CALLS, max_size=5), max_size=4)
Steps = Sequence[Text | Reasoning | RawToolUse]


class Conversation:
    """Turns of one conversation, executed and recorded as in production."""

    def __init__(self) -> None:
        self.history: list[PastTurn] = []

    async def turn(self, runner: Runner) -> list[RecordedEvent]:
        rig = Rig()
        run = a_run(f"run-{len(self.history)}")
        rig.store.start(run, a_request())
        pending = PendingExecution(
            run=run,
            task=self._task(runner.catalog.agent("sample"), run.id),
            request=a_request(),
            slot=slot_of(run),
            ports=rig.ports,
        )
        execution = RunExecution(pending, engine=runner.engine, pace=PATIENT)
        executing = asyncio.create_task(execution.execute())
        events = await read_all(execution)
        outcome = await executing
        assert rig.logged(run.key) == events
        said = [e.event.text for e in events if isinstance(e.event, ContentDelta)]
        output = outcome.output if outcome else ""
        assert "".join(said) == output
        self.history.append(
            PastTurn(
                run_id=run.id,
                input="hello",
                output=output,
                messages=outcome.messages if isinstance(outcome, Completed) else None,
                created_at=AT,
                updated_at=AT,
            )
        )
        return events

    def _task(self, agent: Agent, run_id: str) -> AgentTask:
        return AgentTask(
            run_id=run_id,
            session_id="session-1",
            tenant="acme",
            user_id="ana",
            agent=agent,
            message="hello",
            history=tuple(self.history),
        )


def check(events: Sequence[RecordedEvent]) -> None:
    """Check what every reader of a run relies on."""
    kinds = [recorded.event.event for recorded in events]
    assert [kind for kind in kinds if kind in ENDS] == [EventType.STOP]
    assert kinds[-1] == EventType.STOP
    assert [recorded.id for recorded in events] == list(range(1, len(events) + 1))
    RECORDED_EVENTS.dump_json(tuple(events))
    for recorded in events:
        encode_frame(recorded)
    started = [e.event.id for e in events if isinstance(e.event, ToolStart)]
    ended = [e.event.id for e in events if isinstance(e.event, ToolEnd | ToolError)]
    assert len(set(started)) == len(started)
    assert sorted(started) == sorted(ended)


class Provider:
    """A stand-in for a provider, and how it says something."""

    def __init__(self, server: ModelServer, reply: Callable[..., Answer], model: str) -> None:
        self.server = server
        self._reply = reply
        self._model = model
        server.always(reply(Text("done")))

    async def converse(self, folder: Path, turns: Sequence[Sequence[Steps]]) -> None:
        """Have three turns, the last one without the tools that the first two had."""
        conversation = Conversation()
        for agent, answers in zip((WITH_TOOLS, WITH_TOOLS, BARE), turns, strict=True):
            self.server.script_anew(*(self._reply(*steps) for steps in answers))
            async with Runner(folder, self._model, agent=agent) as runner:
                events = await conversation.turn(runner)
            assert self.server.refused == []
            check(events)


@pytest.fixture(scope="module")
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def bedrock(patch: pytest.MonkeyPatch) -> Iterator[BedrockServer]:
    with bedrock_server() as server:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield server


@pytest.fixture(scope="module")
def compatible(patch: pytest.MonkeyPatch) -> Iterator[OpenAiCompatibleServer]:
    with openai_compatible_server() as server:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield server


anything = given(st.lists(ANSWERS, min_size=3, max_size=3))
often = settings(
    max_examples=EXAMPLES,
    deadline=None,
    # A failure names what was refused; making it smaller would take minutes.
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


PROVIDERS: dict[str, Callable[..., Answer]] = {
    "bedrock:eu.anthropic.claude-haiku-4-5-20251001-v1:0": Reply,
    "bedrock:mistral.mistral-large-2407-v1:0": Reply,
    "openai:qwen3:8b": ChatReply,
}


@pytest.mark.parametrize("model", PROVIDERS)
@often
@anything
async def test_a_model_takes_back_whatever_it_has_said(
    bedrock: BedrockServer,
    compatible: OpenAiCompatibleServer,
    tmp_path: Path,
    model: str,
    turns: Sequence[Sequence[Steps]],
) -> None:
    server = bedrock if PROVIDERS[model] is Reply else compatible
    await Provider(server, PROVIDERS[model], model).converse(tmp_path, turns)
