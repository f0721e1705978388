"""How a run of the engine fails, and how it is ended from outside."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai import exceptions as ai
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models import Model
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel, StreamFunctionDef

from agent_catalog import load_catalog
from agent_catalog.models.factory import create_model
from agent_catalog.running.engine import PydanticAiEngine
from agent_catalog.running.errors import engine_error
from agentrun.domain.errors import EngineError
from agentrun.domain.events import ContentDelta, Metrics, ToolEnd, ToolError, ToolStart
from agentrun.domain.requests import RunOptions
from tests.fakes.engine_outputs import outputs_of
from tests.unit.agent_catalog import sample_tools
from tests.unit.agent_catalog.chat import Chat
from tests.unit.agent_catalog.conftest import RigFor, calling, silent

pytestmark = pytest.mark.anyio


def tool_call(name: str, arguments: object, call_id: str) -> dict[int, DeltaToolCall]:
    return {0: DeltaToolCall(name=name, json_args=json.dumps(arguments), tool_call_id=call_id)}


async def test_a_model_that_breaks_off_leaves_its_text_and_an_error(rig_for: RigFor) -> None:
    async def stream(_: list[ModelMessage], __: AgentInfo) -> AsyncIterator[str]:
        yield "so far"
        raise ai.ModelHTTPError(500, "model-1", body={"secret": "arn:aws:iam::1"})

    rig = rig_for(stream)
    events = await rig.run()
    assert events[0] == ContentDelta(text="so far")
    assert [type(event) for event in events[1:]] == [Metrics]
    assert rig.error is not None
    assert rig.error.error_type == "MODEL_ERROR"
    assert "arn" not in str(rig.error)
    assert isinstance(rig.error.__cause__, ai.ModelHTTPError)


async def test_a_tool_whose_module_cannot_be_imported_fails_the_run_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = 'import not_there\n\n\ndef look() -> None:\n    """Look."""\n'
    (tmp_path / "lacking.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    text = "name: A\ndescription: B\ntools: ['lacking:look']\n"
    (tmp_path / "lacking.yaml").write_text(text)
    with pytest.raises(EngineError, match=r"^The tool 'look' cannot be loaded\.$") as caught:
        await Chat(load_catalog("demo", tmp_path)).ask("lacking", "hi")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def repeating(name: str, **arguments: object) -> StreamFunctionDef:
    """A model that calls a tool again and again."""

    async def stream(messages: list[ModelMessage], _: AgentInfo) -> AsyncIterator[Any]:
        yield tool_call(name, arguments, f"call-{len(messages)}")

    return stream


REFUSING = repeating("refuse", reason="no")
ADDING = repeating("add", left=1, right=1)


@pytest.mark.parametrize(
    ("limit", "stream", "sentence", "llm_calls"),
    [
        ("request_limit: 4", REFUSING, "4 calls of the model (request_limit)", 4),
        ("tool_calls_limit: 2", ADDING, "2 tool calls (tool_calls_limit)", 3),
        ("input_tokens_limit: 60", ADDING, "60 input tokens (input_tokens_limit)", 2),
        ("output_tokens_limit: 4", ADDING, "4 output tokens (output_tokens_limit)", 1),
    ],
)
async def test_a_run_over_its_limit_says_which_and_what_it_used(
    rig_for: RigFor, limit: str, stream: StreamFunctionDef, sentence: str, llm_calls: int
) -> None:
    rig = rig_for(stream, f"limits: {{{limit}}}")
    events = await rig.run()
    assert rig.error is not None
    assert rig.error.error_type == "USAGE_LIMIT"
    assert str(rig.error) == f"The run has reached the limit of what it may use: {sentence}."
    assert rig.ending is None
    assert isinstance(events[-1], Metrics)
    assert events[-1].llm_calls == llm_calls


@pytest.mark.parametrize("tool", ["hang", "hang_in_thread"])
async def test_a_tool_that_takes_too_long_is_an_error_and_the_run_goes_on(
    rig_for: RigFor, tool: str
) -> None:
    sample_tools.calls.clear()
    sample_tools.released.clear()
    rig = rig_for(calling((tool, {}), ("add", {"left": 1, "right": 1})), "tool_timeout: 2")
    events = await rig.run()
    sample_tools.released.set()
    errors = [event for event in events if isinstance(event, ToolError)]
    assert errors == [
        ToolError(id="call-0", name=tool, error="The tool has not answered within 2 s.")
    ]
    assert [event.name for event in events if isinstance(event, ToolEnd)] == ["add"]
    assert rig.ended


async def test_a_tool_may_time_out_more_often_than_its_arguments_may_be_wrong(
    rig_for: RigFor,
) -> None:
    async def stream(messages: list[ModelMessage], _: AgentInfo) -> AsyncIterator[Any]:
        if len(messages) > 6:
            yield "enough"
            return
        yield tool_call("hang", {}, f"call-{len(messages)}")

    rig = rig_for(stream, "tool_timeout: 0.01\nretries: 1")
    events = await rig.run()
    assert len([event for event in events if isinstance(event, ToolError)]) == 3
    assert rig.error is None


async def test_arguments_that_never_fit_end_the_run_and_every_call(rig_for: RigFor) -> None:
    rig = rig_for(repeating("add"))
    events = await rig.run()
    starts = [event.id for event in events if isinstance(event, ToolStart)]
    ends = [event.id for event in events if isinstance(event, ToolError)]
    assert starts == ends
    assert len(starts) == 3
    assert rig.error is not None
    assert rig.error.error_type == "MODEL_ERROR"


@pytest.mark.parametrize(
    ("error", "error_type"),
    [
        (ai.ModelRateLimitError("m", "busy"), "MODEL_THROTTLED"),
        (ai.ModelOverloadedError("m", "busy"), "MODEL_THROTTLED"),
        (ai.ModelTimeoutError("m", "slow"), "MODEL_TIMEOUT"),
        (ai.ModelConnectionError("m", "gone"), "MODEL_ERROR"),
        (ai.ModelAuthenticationError("m", "key sk-123"), "MODEL_ERROR"),
        (ai.UnexpectedModelBehavior("what", "body"), "MODEL_ERROR"),
        (ai.UserError("wrong"), "AGENT_ERROR"),
        (KeyError("oops"), "AGENT_ERROR"),
    ],
)
def test_a_failure_is_classified_and_says_nothing_of_its_cause(
    error: Exception, error_type: str
) -> None:
    result = engine_error(error)
    assert result.error_type == error_type
    assert str(result).endswith(".")
    for secret in ("sk-123", "oops", "Error", "busy", "body"):
        assert secret not in str(result)


@pytest.mark.parametrize("model", ["nobody:model-1", "no-colon"])
def test_a_model_that_is_not_set_up_is_an_engine_error(model: str) -> None:
    with pytest.raises(EngineError, match="is not set up here") as caught:
        create_model(model)
    assert caught.value.error_type == "MODEL_ERROR"


async def test_a_model_that_is_not_set_up_fails_the_run_cleanly(rig_for: RigFor) -> None:
    def refuse(model_id: str) -> Model:
        raise EngineError(f"No {model_id}.", error_type="MODEL_ERROR") from KeyError("region")

    rig = rig_for(silent)
    rig.engine = PydanticAiEngine(rig.catalog, refuse)
    events = await rig.run(options=RunOptions(model="nobody:model-1"))
    assert events == [Metrics(model="nobody:model-1")]
    assert rig.error is not None
    assert str(rig.error) == "No nobody:model-1."
    assert isinstance(rig.error.__cause__, KeyError)


async def test_models_are_built_once_and_not_before_the_first_run(rig_for: RigFor) -> None:
    built = []

    def factory(model_id: str) -> Model:
        built.append(model_id)
        return FunctionModel(stream_function=silent)

    rig = rig_for(silent)
    rig.engine = PydanticAiEngine(rig.catalog, factory)
    assert built == []
    for options in (RunOptions(), RunOptions(model="other:m"), RunOptions()):
        await rig.run(options=options)
    assert built == ["demo", "other:m"]


async def stalled(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
    """Says one word, waits for ever, and notes that it was closed."""
    try:
        yield "one"
        await asyncio.Event().wait()
    finally:
        sample_tools.calls.append("model closed")


@pytest.mark.parametrize(
    ("stream", "closed"),
    [
        (stalled, ["model closed"]),
        (calling(("hang", {})), ["cancelled"]),
        (calling(*[("hang", {})] * 3), ["cancelled"] * 3),
    ],
)
async def test_cancelling_the_reader_closes_what_the_run_waits_for(
    rig_for: RigFor, stream: StreamFunctionDef, closed: list[str]
) -> None:
    before = asyncio.all_tasks()
    sample_tools.calls.clear()
    sample_tools.hanging = asyncio.Event()
    rig = rig_for(stream)

    async def read() -> None:
        async for event in outputs_of(rig.engine, rig.task("go")):
            if isinstance(event, ContentDelta):
                sample_tools.hanging.set()

    reader = asyncio.create_task(read())
    await sample_tools.hanging.wait()
    reader.cancel()
    async with asyncio.timeout(3):
        with pytest.raises(asyncio.CancelledError):
            await reader
    assert sample_tools.calls == closed
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("in_another_task", [True, False])
async def test_closing_between_two_events_closes_the_model(
    rig_for: RigFor, in_another_task: bool
) -> None:
    sample_tools.calls.clear()
    rig = rig_for(stalled)
    run = outputs_of(rig.engine, rig.task("go"))
    assert await anext(run) == ContentDelta(text="one")
    async with asyncio.timeout(3):
        await (asyncio.create_task(run.aclose()) if in_another_task else run.aclose())
    assert sample_tools.calls == ["model closed"]
    assert rig.error is None
