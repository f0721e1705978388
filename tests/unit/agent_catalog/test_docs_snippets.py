"""The agents, tools and tests that docs/agents.md and docs/how-to show work as they stand there."""

import re
import shutil
from inspect import getmembers, isfunction
from pathlib import Path
from types import ModuleType

import pytest

import tools
from agent_catalog import AgentCatalog, load_catalog
from agent_catalog.tool_names import _functions
from agentrun_local import testing
from tests.documented import HOW_TO, ROOT, files_of, programs_of
from tests.unit.agent_catalog.chat import Chat

pytestmark = pytest.mark.anyio

PAGE = (ROOT / "docs/agents.md").read_text(encoding="utf-8")
BUILT_IN = ROOT / "layers/agents/agents"
ANY = re.compile(r"^```(?:yaml|python)$", re.MULTILINE)
NAMED = re.compile(
    r"`[^`\n]*?(?P<file>\w+\.(?:yaml|py))`[^`]*?(?:`make [^`\n]+`:)?\n\n"
    r"```(?:yaml|python)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
OF_THE_PAGE = {match["file"]: match["text"] for match in NAMED.finditer(PAGE)}
SNIPPETS = OF_THE_PAGE | {name: text for page in HOW_TO for name, text in files_of(page).items()}
# The servers and services that the page makes up cannot be asked.
AGENTS = [
    name.removesuffix(".yaml")
    for name, text in SNIPPETS.items()
    if name.endswith(".yaml") and "mcp:" not in text and "endpoint:" not in text
]
TESTS = [name for name in SNIPPETS if name.startswith("test_")]


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AgentCatalog:
    """Put the pages' tools among the tools, and their agents beside the built-in ones."""
    for built_in in BUILT_IN.glob("*.yaml"):
        shutil.copy(built_in, tmp_path)
    for name, text in SNIPPETS.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(tools, "__path__", [*tools.__path__, str(tmp_path)])
    _functions.cache_clear()
    return load_catalog("demo", tmp_path)


def test_every_snippet_says_which_file_it_is() -> None:
    assert len(OF_THE_PAGE) == len(ANY.findall(PAGE))
    files = [name for page in HOW_TO for name in files_of(page)]
    assert len(SNIPPETS) == len(OF_THE_PAGE) + len(files)
    assert len(files) >= 9
    # A page's Python that is no file is run by tests/e2e/test_how_to_pages.py.
    assert not any(programs_of(page, "yaml") for page in HOW_TO)
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
    assert needing == {"lend_book", "place_order", "refund", "send_letter", "wiki_edit_page"}


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
    written = "\n".join(SNIPPETS.values())
    assert passed == len(re.findall(r"^def test_", written, re.MULTILINE))
