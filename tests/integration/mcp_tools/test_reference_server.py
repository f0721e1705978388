"""The client and the protocol's reference implementation understand each other."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_catalog.mcp.entry import McpServer
from tests.integration.mcp_tools.mcp_run import Call, McpRun
from tests.mcp_server.reference import reference_server

pytestmark = pytest.mark.anyio

TOOLS = ("add", "fail", "report", "sample", "elicit", "picture", "query", "summary", "hang")
WAIT_S = 10


class Reference:
    """A running server: how to reach it, and where it notes what became of a call."""

    def __init__(self, url: str, scratch: Path, modes: tuple[str, ...]) -> None:
        self.scratch, self.modes = scratch, modes
        fields = {"url": url, "tools": TOOLS, "timeout_s": 5}
        self.entry = McpServer.model_validate(fields)

    def wait_for(self, what: str) -> None:
        """Wait until the server has noted something."""
        deadline = time.monotonic() + WAIT_S
        while not (self.scratch / what).exists():
            assert time.monotonic() < deadline, what
            time.sleep(0.01)


@pytest.fixture(
    scope="module", params=[(), ("json",), ("stateless",), ("json", "stateless")], ids=str
)
def reference(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Reference]:
    scratch = tmp_path_factory.mktemp("reference")
    with reference_server(scratch, *request.param) as url:
        yield Reference(url, scratch, request.param)


async def test_its_tools_are_listed_and_called(reference: Reference) -> None:
    came = await McpRun(reference.entry).run(
        ("add", {"left": 17, "right": 23}),
        ("add", {"left": "many"}),
        ("fail", {"reason": "no"}),
        ("report", {}),
        ("picture", {}),
    )
    assert came.names() == list(TOOLS)
    assert came.output == "done"
    succeeded = {str(content) for outcome, content in came.results if outcome == "success"}
    assert succeeded == {"40", "reported", "A caption.\n[image, image/png: left out]"}
    failed = sorted(str(content) for outcome, content in came.results if outcome == "failed")
    assert len(failed) == 2
    assert "Input should be a valid integer" in failed[0]


async def test_its_own_names_and_both_halves_of_a_result_are_kept(reference: Reference) -> None:
    calls: tuple[Call, ...] = (("query", {"odata": {"filter": "a eq 1"}}), ("summary", {}))
    came = await McpRun(reference.entry).run(*calls)
    (shown,) = (tool.parameters_json_schema for tool in came.tools if tool.name == "query")
    assert shown["$defs"]["Odata"]["required"] == ["filter"]
    results = {str(result) for result in came.results}
    both = {"text": "1 page", "structuredContent": {"pages": ["a"]}}
    assert results == {"('success', ['a eq 1', '6'])", str(("success", both))}


@pytest.mark.parametrize("tool", ["sample", "elicit"])
async def test_it_gets_neither_our_model_nor_our_user(reference: Reference, tool: str) -> None:
    came = await McpRun(reference.entry).run((tool, {}))
    assert [outcome for outcome, _ in came.results] == ["failed"]
    assert "within" not in str(came.results), "it is told no, rather than kept waiting"
    assert came.output == "done"


async def test_it_ends_a_call_that_was_cancelled(reference: Reference) -> None:
    if reference.modes == ("json", "stateless"):
        pytest.skip("without a session nor an open stream, a server has no means to learn of it")
    run = asyncio.create_task(McpRun(reference.entry).run(("hang", {})))
    await asyncio.to_thread(reference.wait_for, "hanging")
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    await asyncio.to_thread(reference.wait_for, "cancelled")
