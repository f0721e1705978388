"""Agents as files."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic_ai import AgentSpec

from agent_catalog import CatalogError, load_catalog
from agent_catalog.agent_file import AgentFile
from agentrun.domain.errors import AgentNotFoundError

CALCULATE = "agent_catalog.tools.calculator:calculate"
MINIMAL = "name: A\ndescription: B\n"
OURS = {
    *("models", "media", "tools", "approval", "mcp", "limits", "history", "followup_model"),
    *("allow_system_prompt", "required_scope", "active"),
}


def write(folder: Path, text: str, name: str = "agent.yaml") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_the_shipped_agents_are_complete() -> None:
    catalog = load_catalog("bedrock:model-1")
    assert {agent.id: [tool.name for tool in agent.tools] for agent in catalog.agents()} == {
        "analyst": ["calculate", "convert_units", "shift_date", "days_between"],
        "docs_assistant": ["search_docs"],
        "echo": [],
        "finance_agent": ["get_portfolio", "get_quote", "place_order"],
    }
    needing_approval = [
        tool.name for agent in catalog.agents() for tool in agent.tools if tool.requires_approval
    ]
    assert needing_approval == ["place_order"]
    models = {agent.id: agent.model for agent in catalog.agents()}
    assert models.pop("echo") == "demo"
    assert set(models.values()) == {"bedrock:model-1"}


def test_the_tools_of_mcp_servers_are_listed_with_the_agents_own(tmp_path: Path) -> None:
    server = "{url: https://a.example/mcp, tools: [find, drop], approval: [drop], prefix: db}"
    folder = write(tmp_path, f"{MINIMAL}tools: ['{CALCULATE}']\nmcp: [{server}]\n")
    tools = load_catalog("demo", folder).agent("agent").tools
    assert [(tool.name, tool.requires_approval) for tool in tools] == [
        ("calculate", False),
        ("db_find", False),
        ("db_drop", True),
    ]


def test_agents_are_ordered_by_id_and_found_by_it(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        write(tmp_path, MINIMAL, f"{name}.yaml")
    catalog = load_catalog("demo", tmp_path)
    assert [agent.id for agent in catalog.agents()] == ["a", "b", "c"]
    assert catalog.agent("b").id == "b"
    with pytest.raises(AgentNotFoundError):
        catalog.agent("d")


def test_a_file_says_all_that_callers_see(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        f"""
name: Analyst
description: Calculates.
model: bedrock:big
models: [bedrock:small, bedrock:big]
media: [image/png]
tools: ["{CALCULATE}"]
approval: [calculate]
allow_system_prompt: true
required_scope: agents:analyst
active: false
""",
    )
    agent = load_catalog("demo", folder).agent("agent")
    assert agent.model_dump() == {
        "id": "agent",
        "name": "Analyst",
        "description": "Calculates.",
        "model": "bedrock:big",
        "models": ("bedrock:big", "bedrock:small"),
        "active": False,
        "tools": (
            {
                "name": "calculate",
                "description": "Work out an arithmetic expression.",
                "requiresApproval": True,
            },
        ),
        "media": ("image/png",),
        "customSystemPrompt": True,
        "requiredScope": "agents:analyst",
    }


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (MINIMAL + "colour: red\n", "agent.yaml: colour: Extra inputs"),
        ("name: A\n", "agent.yaml: description: Field required"),
        (MINIMAL + "limits: {requests: 3}\n", "agent.yaml: limits.requests: Extra"),
        (MINIMAL + "limits: {request_limit: 0}\n", "agent.yaml: limits.request_limit: "),
        (MINIMAL + "model: haiku\n", "agent.yaml: model: "),
        (MINIMAL + "required_scope: two words\n", "agent.yaml: required_scope: "),
        (MINIMAL + "media: [png]\n", "agent.yaml: media.0: "),
        (MINIMAL + "tools: [calculate]\n", "agent.yaml: tools.0: 'calculate' is not of the form"),
        (MINIMAL + "tools: ['no.such:tool']\n", "tools.0: there is no module 'no.such'"),
        (
            MINIMAL + "tools: ['agent_catalog.tools.calculator:guess']\n",
            "tools.0: the module 'agent_catalog.tools.calculator' defines no function 'guess'",
        ),
        (
            MINIMAL + "tools: ['tests.unit.agent_catalog.sample_tools:undocumented']\n",
            "tools.0: the function 'undocumented' has no docstring",
        ),
        (
            MINIMAL + "tools: ['tests.unit.agent_catalog.sample_tools:messen']\n",
            "tools.0: the function 'messen': models do not take the name 'größe'",
        ),
        (
            MINIMAL + f"tools: ['{CALCULATE}', '{CALCULATE}']\n",
            "agent.yaml: tools.1: 'calculate' is there twice",
        ),
        (
            MINIMAL + "approval: [launch]\n",
            "agent.yaml: approval.0: 'launch' is not among the tools",
        ),
        (MINIMAL + "history: {turns: -1}\n", "agent.yaml: history.turns: "),
        (MINIMAL + "followup_model: haiku\n", "agent.yaml: followup_model: "),
        (
            MINIMAL
            + f"tools: ['{CALCULATE}']\nmcp: [{{url: https://a.example, tools: [calculate]}}]",
            "agent.yaml: mcp.0: 'calculate' is there twice",
        ),
        ("- a list\n", "agent.yaml: the file: "),
        ("name: [", "agent.yaml: is not YAML"),
    ],
)
def test_a_broken_file_is_one_error_naming_file_and_field(
    tmp_path: Path, text: str, complaint: str
) -> None:
    with pytest.raises(CatalogError) as caught:
        load_catalog("demo", write(tmp_path, text))
    assert complaint in str(caught.value)


def test_every_fault_of_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"name: Field.*description: Field.*colour: Extra"):
        load_catalog("demo", write(tmp_path, "colour: red"))


def test_a_file_name_that_is_no_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="my agent"):
        load_catalog("demo", write(tmp_path, MINIMAL, "my agent.yaml"))


@pytest.mark.parametrize("model", ["", "haiku", "demo ", "bedrock:a b"])
def test_a_default_model_that_is_none_is_refused(model: str, tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="default model"):
        load_catalog(model, tmp_path)


def test_the_format_is_pydantic_ais_with_our_fields_added() -> None:
    assert set(AgentFile.model_fields) - OURS <= set(AgentSpec.model_fields)


def test_loading_the_catalogue_imports_no_engine_and_no_tool() -> None:
    program = (
        "import json, sys, agent_catalog; agent_catalog.load_catalog('demo');"
        "print(json.dumps(sorted(sys.modules)))"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
    loaded = set(json.loads(output))
    assert "agent_catalog.catalog" in loaded
    heavy = {"pydantic_ai", "genai_prices", "boto3", "pint", "simpleeval", "dateutil"}
    assert not loaded & heavy
    assert not {name for name in loaded if name.startswith("agent_catalog.tools.")}
