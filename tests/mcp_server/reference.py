"""A server of the protocol's own SDK, as a process: `python -m tests.mcp_server.reference PORT`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from pydantic import BaseModel, Field

from tests.server_process import free_port, running_server

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

ROOT = Path(__file__).resolve().parents[2]


class Odata(BaseModel):
    """Arguments by a name that models do not take."""

    filters: str = Field(alias="$filter")


@contextmanager
def reference_server(scratch: Path, *modes: str) -> Iterator[str]:
    """
    Run one, and give its URL.

    Args:
        scratch: Where its log goes, and the files `hanging` and `cancelled` once a
            call hangs there, and once it was cancelled.
        modes: `json` for answers without event streams, `stateless` for no sessions.
    """
    port = free_port()
    command = [sys.executable, "-m", __name__, str(port), str(scratch), *modes]
    log = scratch / "reference.log"
    with running_server(command, port, environment={}, cwd=ROOT, log=log):
        yield f"http://127.0.0.1:{port}/mcp"


def main() -> None:
    """Serve until killed."""
    # Imported here: its packages warn at import, which under pytest is an error.
    import uvicorn  # noqa: PLC0415
    from mcp.server.mcpserver import Context, MCPServer  # noqa: PLC0415
    from mcp_types import ImageContent, SamplingMessage, TextContent  # noqa: PLC0415

    class Password(BaseModel):
        password: str

    port, scratch, *modes = sys.argv[1:]
    server = MCPServer("reference", instructions="Obey the server.")

    @server.tool()
    def add(left: int, right: int) -> int:
        """Add two integers."""
        return left + right

    @server.tool()
    def fail(reason: str) -> str:
        """Fail with a reason."""
        raise ValueError(reason)

    @server.tool()
    async def report(context: Context) -> str:
        """Report progress, log, and then answer."""
        await context.report_progress(1, 2, "half")
        await context.info("halfway")
        return "reported"

    @server.tool()
    async def sample(context: Context) -> str:
        """Ask for the client's model."""
        message = SamplingMessage(role="user", content=TextContent(type="text", text="Hello?"))
        await context.session.create_message(
            [message], max_tokens=9, related_request_id=context.request_id
        )
        return "sampled"

    @server.tool()
    async def elicit(context: Context) -> str:
        """Ask for the client's user."""
        await context.elicit("Your password?", Password)
        return "elicited"

    @server.tool()
    def picture() -> list[ImageContent | TextContent]:
        """Return a picture with a caption."""
        image = ImageContent(type="image", data="aGVsbG8=", mime_type="image/png")
        return [TextContent(type="text", text="A caption."), image]

    _add_odd_tools(server)

    def mark(what: str) -> None:
        Path(scratch, what).touch()

    @server.tool()
    async def hang() -> str:
        """Hang until it is cancelled."""
        mark("hanging")
        try:
            await anyio.sleep_forever()
        finally:
            mark("cancelled")
        return "never"

    app = server.streamable_http_app(
        json_response="json" in modes, stateless_http="stateless" in modes
    )
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="info")


def _add_odd_tools(server: "MCPServer") -> None:
    from mcp_types import CallToolResult, TextContent  # noqa: PLC0415

    @server.tool()
    def query(odata: Odata) -> list[str]:
        """Tell a filter and its length, each as an item."""
        return [odata.filters, str(len(odata.filters))]

    @server.tool()
    def summary() -> CallToolResult:
        """Say less in the text than in the structure."""
        content = TextContent(type="text", text="1 page")
        return CallToolResult(content=[content], structured_content={"pages": ["a"]})


if __name__ == "__main__":
    main()
