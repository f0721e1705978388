"""What an agent's file may say of an MCP server, and what it refuses."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agent_catalog.mcp.entry import HeaderValueError, McpServer
from agentrun.domain.agents import AgentTool, Replay

URL = "https://mcp.example.com/mcp"


def entry(**fields: Any) -> McpServer:
    return McpServer.model_validate({"url": URL, "tools": ["search", "fetch"]} | fields)


@pytest.mark.parametrize(
    "url", [URL, "http://127.0.0.1:8080/mcp", "http://localhost/mcp", "http://[::1]:1/mcp"]
)
def test_a_server_is_reached_over_https_or_on_this_machine(url: str) -> None:
    assert str(entry(url=url).url) == url


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"url": "http://mcp.example.com/mcp"}, "must be https"),
        ({"url": "http://127.0.0.1.example.com/mcp"}, "must be https"),
        ({"url": "http://10.0.0.1/mcp"}, "must be https"),
        ({"url": "ftp://localhost/mcp"}, "URL scheme"),
        ({"url": "https://ana:secret@mcp.example.com/mcp"}, "neither a user"),
        ({"url": "https://mcp.example.com/mcp#part"}, "nor a fragment"),
        ({"tools": []}, "at least 1 item"),
        ({"tools": ["*"]}, "must be a tool's name as the server has it"),
        ({"tools": ["a\nb"]}, "must be a tool's name as the server has it"),
        ({"tools": ["x" * 257]}, "at most 256 characters"),
        ({"tools": ["search", "search"]}, "'search' appears twice"),
        ({"approval": ["delete"]}, "'delete' is not among the tools of this server"),
        ({"replay": {"delete": "safe"}}, "replay: 'delete' is not among the tools of this server"),
        ({"replay": {"search": "twice"}}, "'safe', 'idempotent' or 'never'"),
        ({"prefix": "a b"}, "should match pattern"),
        ({"timeout_s": 0}, "greater than 0"),
        ({"timeout_s": 301}, "less than or equal to 300"),
        ({"headers": {"X Y": "${KEY}"}}, "should match pattern"),
        ({"headers": {"X-Key": "hunter2"}}, "must name a variable"),
        ({"headers": {"X-Key": "hunter2 ${KEY} too"}}, "must name a variable"),
        ({"headers": {"X-Key": "$KEY"}}, "must name a variable"),
        ({"transport": "stdio"}, "not permitted"),
    ],
)
def test_a_mistake_is_refused_without_repeating_what_may_be_a_secret(
    fields: dict[str, Any], fault: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        entry(**fields)
    faults = "; ".join(error["msg"] for error in refused.value.errors())
    assert fault in faults
    assert "hunter2" not in faults


def test_callers_see_its_tools_without_anybody_asking_the_server() -> None:
    described = "A tool of an MCP server; the server describes it to the model."
    assert entry(approval=["fetch"]).agent_tools() == (
        AgentTool(name="search", description=described),
        AgentTool(name="fetch", description=described, requires_approval=True),
    )


def test_a_tool_may_run_twice_only_if_the_file_says_so() -> None:
    tools = entry(replay={"search": "safe"}).agent_tools()
    assert [tool.replay for tool in tools] == [Replay.SAFE, Replay.NEVER]


def test_a_name_is_one_that_models_take() -> None:
    tools = entry(tools=["pages.get/all", "search"], prefix="docs", approval=["pages.get/all"])
    assert [(tool.name, tool.requires_approval) for tool in tools.agent_tools()] == [
        ("docs_pages_get_all", True),
        ("docs_search", False),
    ]


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["a.b", "a_b"], ["a_b_2e7336dc", "a_b"]),
        (["a.b", "a/b"], ["a_b_2e7336dc", "a_b_c14cddc0"]),
        (["get user", "größe", "名前"], ["get_user", "gro_e", "tool"]),
        (["x" * 65], ["x" * 55 + "_9537c5fd"]),
    ],
)
def test_any_name_becomes_one_of_its_own_that_models_take(
    names: list[str], shown: list[str]
) -> None:
    listed = [tool.name for tool in entry(tools=names).agent_tools()]
    assert listed == shown
    assert listed[::-1] == [tool.name for tool in entry(tools=names[::-1]).agent_tools()]


PRINTABLE = st.characters(exclude_categories=("C", "Z")) | st.sampled_from("a._-/ $[]")
NAMES = st.text(PRINTABLE, min_size=1, max_size=80).filter(lambda name: name.strip("* "))


@given(st.lists(NAMES, min_size=1, max_size=5, unique=True))
def test_no_two_tools_of_a_server_share_a_name(names: list[str]) -> None:
    shown = [tool.name for tool in entry(tools=names).agent_tools()]
    assert len({*shown}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in shown)


def test_header_values_come_from_the_environment() -> None:
    headers = {"Authorization": "Bearer ${DOCS_TOKEN}", "X-Key": "${KEY}"}
    environment = {"DOCS_TOKEN": " abc\n", "KEY": "d e f"}
    values = entry(headers=headers).header_values(environment)
    assert values == {"Authorization": "Bearer abc", "X-Key": "d e f"}


@pytest.mark.parametrize("environment", [{}, {"KEY": " "}, {"KEY": "a\r\nb"}, {"KEY": "é"}])
def test_a_value_that_is_not_there_or_does_not_fit_is_named_by_its_variable(
    environment: dict[str, str],
) -> None:
    with pytest.raises(HeaderValueError, match="the variable KEY"):
        entry(headers={"X-Key": "${KEY}"}).header_values(environment)
