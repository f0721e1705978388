"""Agents as files."""

import ast
from inspect import Parameter, signature
from pathlib import Path
from typing import get_args

import pydantic_ai
import pytest
from pydantic_ai import AgentSpec, settings
from pydantic_ai.capabilities import CAPABILITY_TYPES

from agent_catalog import CatalogError, agent_spec, load_catalog
from agent_catalog.agent_file import AgentFile
from agent_catalog.agent_spec import CAPABILITIES, ModelSettings
from agent_catalog.running.build import build_agent
from agentrun.domain.agents import Replay
from agentrun.domain.errors import AgentNotFoundError, BrokenAgentError, EngineError

CALCULATE = "tools.calculator:calculate"
MINIMAL = "name: A\ndescription: B\n"
SAMPLES = "tests.unit.agent_catalog.sample_tools"
OURS = {
    *("models", "media", "tools", "approval", "replay", "mcp", "limits", "history"),
    *("followup_model", "on_budget", "max_attempts", "max_duration"),
    *("allow_system_prompt", "required_scope", "active", "agent", "deps", "graph", "endpoint"),
}


def write(folder: Path, text: str, name: str = "agent.yaml") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_the_shipped_agents_are_complete() -> None:
    shipped = {
        "analyst": ["calculate", "convert_units", "shift_date", "days_between"],
        "docs_assistant": ["search_docs"],
        "echo": [],
        "finance_agent": ["get_portfolio", "get_quote", "place_order"],
    }
    catalog = load_catalog("bedrock:model-1")
    # Beside them there may be agents that were added to them.
    agents = [catalog.agent(agent_id) for agent_id in shipped]
    assert {agent.id: [tool.name for tool in agent.tools] for agent in agents} == shipped
    needing_approval = [tool.name for a in agents for tool in a.tools if tool.requires_approval]
    assert needing_approval == ["place_order"]
    unsafe = [tool.name for a in agents for tool in a.tools if tool.replay is not Replay.SAFE]
    assert unsafe == ["place_order"]
    models = {agent.id: agent.model for agent in agents}
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
        "fault": None,
    }


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ("colour: red", ":3: colour: there is no such field"),
        ("limits: {requests: 3}", ":3: limits.requests: there is no such field"),
        ("limits: {request_limit: 0}", ":3: limits.request_limit: "),
        ("limits: {cost_limit: 1, cost_limit: 2}", ":3: 'cost_limit' appears twice"),
        (
            "limits:\n  cost_limit: 1\n  cost_limit: 2",
            ":5: 'cost_limit' appears twice, first in l",
        ),
        ("name: Again", ":3: 'name' appears twice, first in line 1"),
        ("model: haiku", ":3: model: "),
        ("followup_model: haiku", ":3: followup_model: "),
        ("required_scope: two words", ":3: required_scope: "),
        ("media: [png]", ":3: media.0: "),
        ("history: {turns: -1}", ":3: history.turns: "),
        ("tools: [calculate]", ":3: tools.0: 'calculate' is not of the form"),
        ("tools: ['no.such:tool']", "tools.0: there is no module 'no.such'"),
        (
            "tools: ['tools.calculator:guess']",
            "tools.0: the module 'tools.calculator' defines no function 'guess'",
        ),
        (f"tools: ['{SAMPLES}:undocumented']", "the function 'undocumented' has no docstring"),
        (f"tools: ['{SAMPLES}:messen']", "'messen': models do not take the name 'größe'"),
        (f"tools: ['{CALCULATE}', '{CALCULATE}']", ":3: tools.1: 'calculate' appears twice"),
        ("approval: [launch]", ":3: approval.0: 'launch' is not among the tools"),
        (
            f"tools: ['{CALCULATE}']\nreplay:\n  calculate: safe\n  launch: safe",
            ":6: replay.launch: 'launch' is not among the tools",
        ),
        (
            "replay: {calculate: twice}",
            ":3: replay.calculate: input should be 'safe', 'idempotent'",
        ),
        ("replay: [calculate]", ":3: replay: must be a mapping"),
        ("max_attempts: 0", ":3: max_attempts: "),
        ("max_attempts: 11", ":3: max_attempts: "),
        ("max_duration: 15 minutes", ":3: max_duration: must be a number of seconds, or such as"),
        ("max_duration: 25h", ":3: max_duration: input should be less than or equal to 86400"),
        ("max_duration: 0", ":3: max_duration: "),
        ("on_budget: stop", ":3: on_budget: input should be 'fail' or 'pause'"),
        (
            f"tools: ['{CALCULATE}']\nmcp: [{{url: https://a.example, tools: [calculate]}}]",
            ":4: mcp.0: 'calculate' appears twice",
        ),
        (
            "model_settings:\n  max_tokens: 9\n  temprature: 0.2",
            ":5: model_settings.temprature: there is no such field; did you mean temper",
        ),
        ("model_settings: {temperature: hot}", "model_settings.temperature: input"),
        ("model_settings: {bedrock_cache: true}", "model_settings.bedrock_cache: th"),
        ("model_settings: {cache: {retnetion: 1h}}", "settings.cache.retnetion: there"),
        ("model_settings:\n  thinking: much", "input, or input should be 'minimal', 'low',"),
        ("capabilities: [Thinkin]", "capabilities.0: there is no capability 'Thinkin'"),
        (
            "capabilities:\n  - Thinking: {efort: high}",
            ":4: capabilities.0: Thinking has no parameter 'efort'",
        ),
        ("capabilities: [{}]", "capabilities.0: must be one capability"),
        ("instructions: 2026-13-01", ": is not YAML: month must be in 1..12"),
    ],
)
def test_a_broken_file_is_one_error_naming_file_and_field(
    tmp_path: Path, more: str, complaint: str
) -> None:
    refused(tmp_path, f"{MINIMAL}{more}\n", complaint)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name: A\n", ":1: description: is missing"),
        ("- a list\n", ":1: the file: must be a mapping"),
        ("name: [", ":2: is not YAML: did not find expected node content"),
    ],
)
def test_a_file_that_is_no_agent_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    refused(tmp_path, text, complaint)


def refused(folder: Path, text: str, complaint: str) -> None:
    with pytest.raises(CatalogError) as caught:
        load_catalog("demo", write(folder, text))
    assert str(caught.value).startswith("agent.yaml:")
    assert complaint in str(caught.value)


def test_every_fault_of_a_file_is_named(tmp_path: Path) -> None:
    every = r"name: is missing; .*description: is missing; .*colour: there is no"
    with pytest.raises(CatalogError, match=every):
        load_catalog("demo", write(tmp_path, "colour: red"))


def test_a_file_that_is_broken_breaks_its_own_agent_only(tmp_path: Path) -> None:
    write(tmp_path, MINIMAL, "good.yaml")
    write(tmp_path, MINIMAL, "good.yml")
    write(tmp_path, MINIMAL + "colour: red\n", "bad.yaml")
    write(tmp_path, MINIMAL, "my agent.yaml")
    faults: list[str] = []
    catalog = load_catalog("demo", tmp_path, on_fault=faults.append)
    assert [(agent.id, agent.active) for agent in catalog.agents()] == [
        ("bad", False),
        ("good", True),
    ]
    assert [fault.partition(": ")[0] for fault in faults] == [
        "bad.yaml:3",
        "good.yml",
        "my agent.yaml",
    ]
    assert not any("\n" in fault for fault in faults)
    with pytest.raises(BrokenAgentError) as caught:
        catalog.definition("bad")
    assert caught.value.fault == faults[0]
    assert catalog.definition("good").agent.name == "A"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("weatherman.yml", "weatherman.yml: an agent's file ends in .yaml; rename it to weatherm"),
        ("weatherman.YAML", "weatherman.YAML: an agent's file ends in .yaml"),
        ("team/a.yaml", "team/a.yaml: agents' files are not read from subfolders"),
        ("my agent.yaml", "my agent.yaml: 'my agent' cannot be an agent's id"),
    ],
)
def test_a_file_in_the_wrong_place_or_with_a_wrong_name_is_refused(
    tmp_path: Path, name: str, complaint: str
) -> None:
    (tmp_path / "team").mkdir()
    with pytest.raises(CatalogError) as caught:
        load_catalog("demo", write(tmp_path, MINIMAL, name))
    assert complaint in str(caught.value)


def test_what_editors_leave_behind_is_passed_over(tmp_path: Path) -> None:
    for name in (".#agent.yaml", ".agent.yaml.swp", "agent.yaml~", "README.md"):
        write(tmp_path, "", name)
    assert load_catalog("demo", tmp_path).agents() == ()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe9\n")
    with pytest.raises(CatalogError) as caught:
        load_catalog("demo", tmp_path)
    assert "folder.yaml: cannot be read: Is a directory" in str(caught.value)
    assert "latin.yaml: is not UTF-8" in str(caught.value)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("def tool(:\n", r"agent.yaml:3: tools.0: .*/broken_a.py:1: invalid syntax"),
        ("x = 1\n\ndef tool():\n  return (\n", r"broken_a.py:4: '\(' was never closed"),
        ("\0", r"broken_a.py(:1)?: (cannot be read|source code)"),
    ],
)
def test_a_tools_file_that_python_cannot_read_is_named_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, complaint: str
) -> None:
    (tmp_path / "broken_a.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(CatalogError, match=complaint):
        load_catalog("demo", write(tmp_path, MINIMAL + "tools: ['broken_a:tool']\n"))


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("import not_there\n", "ModuleNotFoundError: No module named 'not_there'"),
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
        ("def (:\n", r".*/__init__.py:1: SyntaxError: invalid syntax"),
        ("raise SystemExit('no')\n", "SystemExit: no"),
    ],
)
def test_a_package_that_cannot_be_imported_is_no_fault_of_its_modules_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, complaint: str
) -> None:
    package = tmp_path / "broken_b"
    package.mkdir()
    (package / "__init__.py").write_text(source)
    (package / "tools.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    fault = f"agent.yaml:3: tools.0: the package 'broken_b' cannot be imported: {complaint}"
    with pytest.raises(CatalogError, match=fault):
        load_catalog("demo", write(tmp_path, MINIMAL + "tools: ['broken_b.tools:tool']\n"))


def test_a_tools_module_that_exits_ends_its_agent_and_not_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = 'def tool() -> str:\n    """Say ok."""\n    return "ok"\n\n\nraise SystemExit(0)\n'
    (tmp_path / "exiting.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    catalog = load_catalog("demo", write(tmp_path, MINIMAL + "tools: ['exiting:tool']\n"))
    with pytest.raises(EngineError) as refusal:
        build_agent("agent", catalog.definition("agent").file)
    assert str(refusal.value.__cause__) == "the module 'exiting' exits when it is imported"


def test_a_key_that_a_merge_brought_may_be_overridden(tmp_path: Path) -> None:
    text = (
        "name: A\ndescription: B\nlimits: &l {request_limit: 3}\n"
        "history: {turns: 1}\nmodel_settings: {<<: {seed: 1}, seed: 2}\n"
    )
    file = load_catalog("demo", write(tmp_path, text)).definition("agent").file
    assert file.model_settings == {"seed": 2}


@pytest.mark.parametrize("model", ["", "haiku", "demo ", "bedrock:a b"])
def test_a_default_model_that_is_none_is_refused(model: str, tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="default model"):
        load_catalog(model, tmp_path)


def test_the_shipped_agents_can_be_built() -> None:
    catalog = load_catalog("demo")
    for agent in catalog.agents():
        file = catalog.definition(agent.id).file
        built = build_agent(agent.id, file)
        # The tools of MCP servers are known once a run has asked for them, and those of an object
        # stand in its code.
        if file.agent is None:
            assert set(built.tools) == {reference.partition(":")[2] for reference in file.tools}


def test_the_known_model_settings_are_pydantic_ais() -> None:
    known = set(settings.ModelSettings.__annotations__)
    for path in (Path(pydantic_ai.__file__).parent / "models").glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name.endswith("ModelSettings"):
                fields = (part for part in node.body if isinstance(part, ast.AnnAssign))
                known |= {field.target.id for field in fields if isinstance(field.target, ast.Name)}
    assert set(ModelSettings.__annotations__) == known


@pytest.mark.parametrize("name", ["CacheRetention", "ServiceTier", "ThinkingEffort"])
def test_the_values_of_a_model_setting_are_pydantic_ais(name: str) -> None:
    assert get_args(getattr(agent_spec, name)) == get_args(getattr(settings, name))
    assert set(agent_spec.CacheConfig.__annotations__) == set(settings.CacheConfig.__annotations__)


@pytest.mark.parametrize("name", sorted(set(CAPABILITIES) | set(CAPABILITY_TYPES)))
def test_the_known_capabilities_are_pydantic_ais(name: str) -> None:
    kind = CAPABILITY_TYPES[name]
    parameters = dict(signature(kind.from_spec).parameters)
    if "args" in parameters:
        # The default, which hands all on.
        parameters = dict(signature(kind).parameters)
    takes_any = any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters.values())
    assert CAPABILITIES[name] == (None if takes_any else frozenset(parameters))


def test_the_format_is_pydantic_ais_with_our_fields_added() -> None:
    assert set(AgentFile.model_fields) - OURS <= set(AgentSpec.model_fields)


def test_the_agents_are_the_first_folder_of_that_name_on_the_path_that_is_no_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for entry in ("none", "distribution", "room", "other"):
        (tmp_path / entry).mkdir()
    for entry in ("distribution", "room", "other"):
        (tmp_path / entry / "agents").mkdir()
    (tmp_path / "distribution/agents/__init__.py").touch()
    write(tmp_path / "room/agents", MINIMAL)
    entries = [str(tmp_path / entry) for entry in ("none", "distribution", "room", "other")]
    monkeypatch.setattr("sys.path", entries)
    assert [agent.id for agent in load_catalog("demo").agents()] == ["agent"]
    monkeypatch.setattr("sys.path", entries[:2])
    with pytest.raises(CatalogError, match="no folder 'agents' on the import path"):
        load_catalog("demo")
