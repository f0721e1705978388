"""Agents of pydantic-ai that were made in Python."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, UserPromptPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from agent_catalog import load_catalog
from agent_catalog.catalog import CatalogError
from agent_catalog.models.demo.model import demo_model
from agent_catalog.running.build import build_agent
from agent_catalog.running.engine import PydanticAiEngine
from agentrun.domain.conversations import PastTurn
from agentrun.domain.errors import EngineError
from agentrun.domain.events import ToolEnd, ToolError, ToolStart
from agentrun.domain.media import LoadedMedia
from agentrun.domain.requests import RunOptions
from agentrun.domain.turns import TurnEnded, TurnPaused
from tests.fakes import own_agents
from tests.runs import AT
from tests.unit.agent_catalog.chat import Chat
from tests.unit.agent_catalog.foreign import odd_agents

pytestmark = pytest.mark.anyio

ODD = "tests.unit.agent_catalog.foreign.odd_agents"


def chat_with(folder: Path, name: str, more: str = "", module: str = ODD) -> Chat:
    text = f"name: A\ndescription: B\nagent: {module}:{name}\n{more}"
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return Chat(load_catalog("demo", folder))


class Seen:
    """A model that says `ok`, and remembers what it was sent."""

    def __init__(self) -> None:
        self.messages: list[ModelMessage] = []
        self.info: AgentInfo | None = None

    async def __call__(self, messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        self.messages, self.info = messages, info
        yield "ok"


async def asked(folder: Path, name: str, more: str = "", **fields: Any) -> Seen:
    chat = Chat(own_agents.catalog_of(folder, name, more))
    seen = Seen()
    chat.engine = PydanticAiEngine(chat.catalog, lambda _: FunctionModel(stream_function=seen))
    await chat.ask(name, "Hello", **fields)
    return seen


@pytest.mark.parametrize(("name", "reason"), odd_agents.REFUSED)
def test_what_cannot_be_run_is_refused_with_its_place(
    tmp_path: Path, name: str, reason: str
) -> None:
    file = chat_with(tmp_path, name).catalog.definition(name).file
    with pytest.raises(EngineError, match=f"The agent '{name}' cannot be loaded") as caught:
        build_agent(name, file)
    told = str(caught.value.__cause__)
    source = Path(odd_agents.__file__)
    line = next(
        number
        for number, text in enumerate(source.read_text().splitlines(), 1)
        if text.startswith(f"{name} =")
    )
    assert told.startswith(f"{name}.yaml: agent: {source}:{line}: {reason}")


async def test_a_run_of_what_cannot_be_loaded_fails_and_does_nothing(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="The agent 'structured' cannot be loaded"):
        await chat_with(tmp_path, "structured").ask("structured", "Hello")


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ("agent: 'tools.no:agent'", r"a\.yaml:3: agent: there is no module 'tools\.no'"),
        ("agent: 'tools.units:no'", r"a\.yaml:3: agent: the module 'tools\.units' defines no 'no'"),
        ("agent: oops", r"a\.yaml:3: agent: 'oops' is not of the form"),
        ("agent: 't:a'\ntools: []", r"a\.yaml:4: tools: does not go with 'agent'; set it where"),
        ("agent: 't:a'\ninstructions: x", r"a\.yaml:4: instructions: does not go with 'agent'"),
        ("deps: 'tools.units:no'", r"a\.yaml:3: deps: goes only with 'agent'"),
        ("agent: 'tools.units:convert_units'\ndeps: 'a:b'", r"a\.yaml:4: deps: there is no module"),
        (
            "agent: 'tools.units:convert_units'\nendpoint: {openai: 'https://a.example', model: m}",
            r"a\.yaml:4: endpoint: does not go with 'agent'",
        ),
    ],
)
def test_faults_of_the_file_are_told_when_it_is_read(tmp_path: Path, more: str, fault: str) -> None:
    (tmp_path / "a.yaml").write_text(f"name: A\ndescription: B\n{more}\n")
    with pytest.raises(CatalogError, match=fault):
        load_catalog("demo", tmp_path)


@pytest.mark.parametrize("more", ["approval: [refnd]\n", "replay: {refnd: safe}\n"])
def test_a_name_that_no_tool_has_is_no_approval(tmp_path: Path, more: str) -> None:
    file = chat_with(tmp_path, "open_handed", more).catalog.definition("open_handed").file
    with pytest.raises(EngineError) as caught:
        build_agent("open_handed", file)
    assert "the file names 'refnd', which is not among" in str(caught.value.__cause__)


async def test_nor_is_one_that_only_a_run_can_check(tmp_path: Path) -> None:
    chat = chat_with(tmp_path, "prefixed", "approval: [refund]\n")
    with pytest.raises(EngineError, match="it has no tool 'refund', which its file names"):
        await chat.ask("prefixed", '/call shop_refund {"order": "7"}')


async def test_the_file_lets_any_tool_wait_for_an_approval(tmp_path: Path) -> None:
    chat = chat_with(tmp_path, "prefixed", "approval: [shop_refund]\n")
    assert [tool.name for tool in chat.catalog.agent("prefixed").tools] == ["shop_refund"]
    outputs = [
        output async for output in chat.stream("prefixed", '/call shop_refund {"order": "7"}')
    ]
    assert isinstance(outputs[-1], TurnPaused)
    assert not [output for output in outputs if isinstance(output, ToolStart)]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("asking_later", "'refund' needs an approval that its file does not name"),
        ("external", "its tool 'refund' is executed elsewhere"),
    ],
)
async def test_tools_that_wait_for_what_nobody_knows_of_end_the_run(
    tmp_path: Path, name: str, reason: str
) -> None:
    with pytest.raises(EngineError, match=re.escape(reason)):
        await chat_with(tmp_path, name).ask(name, '/call refund {"order": "7"}')


async def test_an_approval_that_a_toolset_asks_for_is_known_by_the_file(tmp_path: Path) -> None:
    chat = chat_with(tmp_path, "asking_later", "approval: [refund]\n")
    outputs = [o async for o in chat.stream("asking_later", '/call refund {"order": "7"}')]
    assert isinstance(outputs[-1], TurnPaused)
    assert [call.tool for call in outputs[-1].pending] == ["refund"]


@pytest.mark.parametrize(
    ("tool", "error"), [("refuse", "No such book."), ("crash", "The tool has failed.")]
)
async def test_a_run_survives_the_failures_of_its_tools(
    tmp_path: Path, tool: str, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer, events = await chat_with(tmp_path, "failing").ask("failing", f"/call {tool} {{}}")
    assert [event.error for event in events if isinstance(event, ToolError)] == [error]
    assert error in answer
    assert "hunter2" not in answer
    assert bool(caplog.records) == (tool == "crash")


async def test_a_tool_may_ask_the_model_to_call_it_again(tmp_path: Path) -> None:
    _, events = await chat_with(tmp_path, "failing").ask("failing", "/call once_more {}")
    assert [e.error for e in events if isinstance(e, ToolError)] == ["Again, please."]


async def test_results_are_cut_to_what_a_conversation_holds(tmp_path: Path) -> None:
    _, events = await chat_with(tmp_path, "failing").ask("failing", "/call long {}")
    (end,) = [event for event in events if isinstance(event, ToolEnd)]
    assert str(end.result).endswith("[cut: 65536 of 100000 bytes]")


async def test_tools_see_the_results_of_earlier_calls(tmp_path: Path) -> None:
    message = '/call refund {"order": "7"} then /call earlier {}'
    _, events = await chat_with(tmp_path, "failing").ask("failing", message)
    assert [e.result for e in events if isinstance(e, ToolEnd)] == ["paid 7", ["paid 7"]]


async def test_dependencies_are_made_from_the_session(tmp_path: Path) -> None:
    chat = Chat(own_agents.catalog_of(tmp_path, "local"))
    _, events = await chat.ask("local", "/call where {}")
    assert [event.result for event in events if isinstance(event, ToolEnd)] == ["acme"]


async def test_an_agent_has_its_own_instructions_unless_the_request_replaces_them(
    tmp_path: Path,
) -> None:
    own = await asked(tmp_path, "local")
    given = await asked(tmp_path, "local", options=RunOptions(system_prompt="Be long."))
    assert own.info is not None
    assert given.info is not None
    assert (own.info.instructions, given.info.instructions) == ("Be brief.", "Be long.")


async def test_settings_of_the_request_win_over_the_files(tmp_path: Path) -> None:
    more = "model_settings: {temperature: 0.1, seed: 7}\n"
    seen = await asked(tmp_path, "echo", more, options=RunOptions(temperature=0.5))
    assert seen.info is not None
    assert seen.info.model_settings == {"temperature": 0.5, "seed": 7}


async def test_media_and_history_reach_the_model(tmp_path: Path) -> None:
    at = AT
    past = PastTurn(run_id="r", input="One?", output="Two.", created_at=at, updated_at=at)
    image = LoadedMedia(type="image/png", data=b"\x89PNG")
    seen = await asked(tmp_path, "echo", "media: [image/png]\n", history=(past,), media=(image,))
    prompts = [p for m in seen.messages for p in m.parts if isinstance(p, UserPromptPart)]
    assert prompts[0].content == "One?"
    assert len(prompts[1].content) == 2


async def test_the_model_is_the_files(tmp_path: Path) -> None:
    chat = chat_with(tmp_path, "with_model", "model: demo\n")
    chat.engine = PydanticAiEngine(chat.catalog, lambda _: demo_model(delay_s=0))
    answer, _ = await chat.ask("with_model", "Hello")
    assert answer == "Hello"


async def test_a_conversation_goes_on_with_the_tools_results(tmp_path: Path) -> None:
    chat = chat_with(tmp_path, "failing")
    outputs = [o async for o in chat.stream("failing", '/call refund {"order": "7"}')]
    ended = outputs[-1]
    assert isinstance(ended, TurnEnded)
    at = AT
    past = PastTurn(
        run_id="r", input="x", output="", messages=ended.messages, created_at=at, updated_at=at
    )
    _, events = await chat.ask("failing", "/call earlier {}", history=(past,))
    assert [e.result for e in events if isinstance(e, ToolEnd)] == [["paid 7"]]
