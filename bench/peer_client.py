"""Request streams from the peer over HTTP, as raw bytes and times."""

import asyncio
import json

from bench.recording import Recording


class PeerClient:
    """A client of the peer; each stream has a connection of its own."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._asking: set[asyncio.Task[None]] = set()

    def stream(self, agent: str, message: str) -> Recording:
        """Request a run; the recording receives the response."""
        recording = Recording()
        asking = asyncio.ensure_future(self._ask(agent, message, recording))
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)
        return recording

    async def _ask(self, agent: str, message: str, recording: Recording) -> None:
        body = json.dumps({"message": message})
        lines = (
            f"POST /api/agents/{agent}/runs/stream HTTP/1.1",
            f"Host: 127.0.0.1:{self._port}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "Connection: close",
        )
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(
            lambda: _Response(recording), "127.0.0.1", self._port
        )
        transport.write(("\r\n".join((*lines, "", "")) + body).encode())

    async def close(self) -> None:
        """Wait for open requests."""
        await asyncio.gather(*self._asking)


class _Response(asyncio.Protocol):
    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def data_received(self, data: bytes) -> None:
        self._recording.add(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._recording.break_off(f"connection lost ({exc})")
