"""The streaming runtime as a process, started as Lambda starts it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
APPS = ROOT / "tests" / "integration" / "lambda_asgi_apps"
TIMEOUT_S = 60


@dataclass
class RuntimeProcess:
    """A running `python -m lambda_asgi`."""

    process: asyncio.subprocess.Process
    output: bytes = b""

    async def line(self) -> bytes:
        """Wait for the next line of output."""
        if self.process.stdout is None:
            raise RuntimeError("no output")
        async with asyncio.timeout(TIMEOUT_S):
            return await self.process.stdout.readline()

    async def exit(self) -> int:
        """Wait for the process to end; its output is then in `output`."""
        async with asyncio.timeout(TIMEOUT_S):
            self.output, _ = await self.process.communicate()
        return self.process.returncode or 0


@asynccontextmanager
async def running(
    address: str, handler: str, task_root: Path = APPS, **environment: str
) -> AsyncIterator[RuntimeProcess]:
    """Start the runtime through its wrapper as Lambda does, warnings being errors."""
    env = {
        "PATH": os.environ["PATH"],
        "AWS_LAMBDA_RUNTIME_API": address,
        "_HANDLER": handler,
        "LAMBDA_TASK_ROOT": str(task_root),
        "PYTHONWARNINGS": "error",
        **environment,
    }
    process = await asyncio.create_subprocess_exec(
        ROOT / "layers" / "streaming" / "bootstrap",
        sys.executable,
        "/var/runtime/bootstrap.py",
        env=env,
        cwd=task_root,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield RuntimeProcess(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
