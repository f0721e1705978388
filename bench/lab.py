"""What all measurements share: a DynamoDB, an identity, our function and its peer."""

import json
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from agentrun_local.machine.identity import AUDIENCE, ISSUER, DevIdentity
from bench.layers import link_packages, write_interpreter
from bench.peer_client import PeerClient
from bench.processes import ROOT, Process, running
from bench.recording import Recording, RecordingRuntimeApi, StreamFailedError
from bench.stores import light_store, moto_store
from tests.tables import TABLE

_FUNCTION_FOLDER = ROOT / "functions" / "stream"


@dataclass(frozen=True)
class Target:
    """A running process to be measured, and how to ask it for a run's stream."""

    process: Process
    stream: Callable[[str, str], Recording]
    """Takes an agent and a message; returns at once."""
    restored_ns: Callable[[], int | None] = lambda: None
    """When the process went on from where a snapshot of it would have been taken."""

    async def complete(self, agent: str, message: str) -> Recording:
        """Ask for a run and wait for its end; errors as in `Recording.complete`."""
        try:
            return await self.stream(agent, message).complete()
        except (StreamFailedError, TimeoutError) as error:
            error.add_note(self.process.output()[-4000:])
            raise


class Lab:
    """Starts what is to be measured against one store."""

    def __init__(
        self,
        store_url: str,
        light_store_url: str,
        identity: DevIdentity,
        interpreter: Path,
        python_path: Sequence[str],
    ) -> None:
        self.interpreter = interpreter
        self.store_url = store_url
        self.on_light_store = {"AWS_ENDPOINT_URL_DYNAMODB": light_store_url}
        """Settings of a function whose store must not use up the processor."""
        self.token = identity.token()
        self._event = (ROOT / "events" / "stream-run.json").read_text()
        self.environment = {
            "PATH": os.defpath,
            "PYTHONPATH": os.pathsep.join(python_path),
            "AWS_REGION": "eu-west-1",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_DYNAMODB": store_url,
            "AGENTRUN_TABLE": TABLE,
            "AGENTRUN_MODEL": "demo",
            "AGENTRUN_DEMO_DELAY_MS": "0",
            "AGENTRUN_JWT_ISSUER": ISSUER,
            "AGENTRUN_JWT_AUDIENCE": AUDIENCE,
            "AGENTRUN_JWKS": identity.jwks,
            "POWERTOOLS_SERVICE_NAME": "stream",
            "POWERTOOLS_METRICS_NAMESPACE": "agentrun",
            # As on Lambda: what a process's own log costs is part of what it costs.
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
        }

    @asynccontextmanager
    async def function(
        self,
        handler: str = "app.handler",
        task_root: Path = _FUNCTION_FOLDER,
        settings: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Target]:
        """Run the stream function, or another handler, under its wrapper as Lambda does."""
        async with RecordingRuntimeApi() as api:
            environment = {
                **self.environment,
                "AWS_LAMBDA_RUNTIME_API": api.address,
                "_HANDLER": handler,
                "LAMBDA_TASK_ROOT": str(task_root),
                **(settings or {}),
            }
            wrapper = ROOT / "layers" / "streaming" / "bootstrap"
            command: list[str | Path] = [wrapper, self.interpreter, "/var/runtime/bootstrap.py"]
            async with running(command, environment, cwd=task_root) as process:
                yield Target(
                    process,
                    lambda agent, text: api.stream(self._payload(agent, text)),
                    lambda: api.restored_ns,
                )

    def _payload(self, agent: str, message: str) -> bytes:
        event = json.loads(self._event.replace("${TOKEN}", self.token))
        path = f"/api/agents/{agent}/runs/stream"
        event["rawPath"] = event["requestContext"]["http"]["path"] = path
        event["body"] = json.dumps({"message": message})
        return json.dumps(event).encode()

    @asynccontextmanager
    async def peer(self, *options: str) -> AsyncIterator[Target]:
        """
        Run the peer, whose socket listens before it starts.

        So its client waits in the backlog as an event waits at the Runtime API; nobody polls.
        """
        with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
            fd = listening.fileno()
            command: list[str | Path] = [self.interpreter, "-m", "bench.peer", str(fd), *options]
            client = PeerClient(listening.getsockname()[1])
            async with running(command, self.environment, pass_fds=[fd]) as process:
                yield Target(process, client.stream)
                await client.close()


@asynccontextmanager
async def open_lab() -> AsyncIterator[Lab]:
    """Start the stores, make an identity and link the packages; all of it ends with the block."""
    with tempfile.TemporaryDirectory(prefix="agentrun-bench-") as name:
        interpreter = write_interpreter(Path(name, "python"))
        python_path = link_packages(
            Path(name, "packages"), "uvicorn", "click", "snapshot-restore-py"
        )
        async with moto_store() as store_url, light_store() as light_store_url:
            identity = DevIdentity(Path(name))
            yield Lab(store_url, light_store_url, identity, interpreter, python_path)
