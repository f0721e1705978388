"""The agents, tools and tests that docs/agents.md shows work as they stand there."""

import re
from inspect import getmembers, isfunction
from pathlib import Path
from types import ModuleType

import pytest

import tools
from agent_catalog import AgentCatalog, load_catalog
from agent_catalog.tool_names import _functions
from agentrun_local import testing
from tests.unit.agent_catalog.chat import Chat

pytestmark = pytest.mark.anyio

PAGE = (Path(__file__).resolve().parents[3] / "docs/agents.md").read_text(encoding="utf-8")
ANY = re.compile(r"^```(?:yaml|python)$", re.MULTILINE)
NAMED = re.compile(
    r"`[^`\n]*?(?P<file>\w+\.(?:yaml|py))`[^`]*?(?:`make [^`\n]+`:)?\n\n"
    r"```(?:yaml|python)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
SNIPPETS = {match["file"]: match["text"] for match in NAMED.finditer(PAGE)}
# The servers and services that the page makes up cannot be asked.
AGENTS = [
    name.removesuffix(".yaml")
    for name, text in SNIPPETS.items()
    if name.endswith(".yaml") and "mcp:" not in text and "endpoint:" not in text
]
TESTS = [name for name in SNIPPETS if name.startswith("test_")]


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AgentCatalog:
    """Put the page's tools among the tools, and its agents into a catalogue."""
    for name, text in SNIPPETS.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(tools, "__path__", [*tools.__path__, str(tmp_path)])
    _functions.cache_clear()
    return load_catalog("demo", tmp_path)


def test_every_snippet_says_which_file_it_is() -> None:
    assert len(SNIPPETS) == len(ANY.findall(PAGE))
    assert AGENTS
    assert TESTS


@pytest.mark.parametrize("agent_id", AGENTS)
async def test_an_agent_of_the_page_loads_and_answers(agent_id: str, catalog: AgentCatalog) -> None:
    agent = catalog.agent(agent_id)
    answer, _ = await Chat(catalog).ask(agent_id, "Hello")
    assert all(tool.name in answer for tool in agent.tools)


def test_the_page_knows_its_tools_that_need_an_approval(catalog: AgentCatalog) -> None:
    needing = {
        tool.name for agent in catalog.agents() for tool in agent.tools if tool.requires_approval
    }
    assert needing == {"lend_book", "refund", "wiki_edit_page"}


def test_the_tests_of_the_page_pass(catalog: AgentCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(testing, "load_catalog", lambda _: catalog)
    passed = 0
    for name in TESTS:
        module = ModuleType("snippet")
        exec(compile(SNIPPETS[name], name, "exec"), vars(module))  # noqa: S102 - our own page
        for named, test in getmembers(module, isfunction):
            if named.startswith("test_"):
                test()
                passed += 1
    assert passed == len(re.findall(r"^def test_", PAGE, re.MULTILINE))
