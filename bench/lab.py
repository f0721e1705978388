"""What all measurements share: a DynamoDB, an identity, our functions and their peers."""

import json
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agentrun_local.machine.identity import AUDIENCE, ISSUER, DevIdentity
from bench.layers import Build, Interpreter, make_build, make_interpreter
from bench.peer_client import PeerClient
from bench.processes import ROOT, Process, running
from bench.recording import Recording, RecordingRuntimeApi, StreamFailedError
from bench.stores import light_store, moto_store
from tests.tables import TABLE, client_of

STAMPED = "bench.inside.stamped_app.handler"
STRANDS = ROOT / ".venv" / "strands"


@dataclass(frozen=True)
class Target:
    """A running process to be measured, and how to ask it for a run's stream."""

    process: Process
    stream: Callable[[str, str], Recording]
    """Takes an agent and a message; returns at once."""

    async def complete(self, agent: str, message: str) -> Recording:
        """Ask for a run and wait for its end; errors as in `Recording.complete`."""
        return await self.ended(self.stream(agent, message))

    async def ended(self, recording: Recording) -> Recording:
        """Wait for a recording's end; errors as in `Recording.complete`, with the log."""
        try:
            return await recording.complete()
        except (StreamFailedError, TimeoutError) as error:
            error.add_note(self.process.output()[-4000:])
            raise


@dataclass(frozen=True)
class BufferedTarget:
    """A running function that answers at once; `ask` takes its event and returns at once."""

    process: Process
    ask: Callable[[bytes], Recording]


Targets = dict[str, Target]
"""What is measured by turns: `ours`, perhaps `before`, and peers."""


@dataclass(frozen=True)
class Lab:
    """Starts what is to be measured against one store."""

    store_url: str
    light_store_url: str
    identity: DevIdentity
    interpreter: Interpreter
    builds: Sequence[Build]
    has_peers: bool
    token: str = field(init=False)

    def __post_init__(self) -> None:
        """Sign one token for all requests."""
        object.__setattr__(self, "token", self.identity.token())

    @property
    def on_light_store(self) -> dict[str, str]:
        """Settings of a function whose store must not use up the processor."""
        return {"AWS_ENDPOINT_URL_DYNAMODB": self.light_store_url}

    @property
    def environment(self) -> dict[str, str]:
        """What every function is told, apart from where its code is."""
        return {
            "PATH": os.defpath,
            "AWS_REGION": "eu-west-1",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_DYNAMODB": self.store_url,
            "AGENTRUN_TABLE": TABLE,
            "AGENTRUN_MODEL": "demo",
            "AGENTRUN_DEMO_DELAY_MS": "0",
            "AGENTRUN_JWT_ISSUER": ISSUER,
            "AGENTRUN_JWT_AUDIENCE": AUDIENCE,
            "AGENTRUN_JWKS": self.identity.jwks,
            "POWERTOOLS_SERVICE_NAME": "bench",
            "POWERTOOLS_METRICS_NAMESPACE": "agentrun",
            # As on Lambda: what a process's own log costs is part of what it costs.
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
        }

    def environment_of(self, build: Build) -> dict[str, str]:
        """Return the environment of a build's processes, with the path to its layers."""
        path = os.pathsep.join([*build.layers, str(self.interpreter.packages)])
        return {**self.environment, "PYTHONPATH": path}

    @asynccontextmanager
    async def function(
        self, build: Build, handler: str | None = None, settings: Mapping[str, str] | None = None
    ) -> AsyncIterator[Target]:
        """Run the stream function, or a handler of `bench`, under its wrapper as Lambda does."""
        task_root = build.task_root if handler else build.root / "functions" / "stream"
        wrapper = build.root / "layers" / "streaming" / "bootstrap"
        command: list[str | Path] = [wrapper, self.interpreter.command, "/var/runtime/bootstrap.py"]
        async with RecordingRuntimeApi() as api:
            environment = {
                **self.environment_of(build),
                "AWS_LAMBDA_RUNTIME_API": api.address,
                "_HANDLER": handler or "app.handler",
                "LAMBDA_TASK_ROOT": str(task_root),
                **(settings or {}),
            }
            async with running(command, environment, cwd=task_root) as process:
                yield Target(process, lambda agent, text: api.ask(self._payload(agent, text)))

    @asynccontextmanager
    async def buffered(self, build: Build, folder: Path) -> AsyncIterator[BufferedTarget]:
        """Run the function in a folder under Lambda's own runtime client, with a build's layers."""
        command: list[str | Path] = [self.interpreter.command, "-m", "awslambdaric", "app.handler"]
        environment = self.environment_of(build)
        async with RecordingRuntimeApi() as api:
            environment |= {
                "PYTHONPATH": f"{folder}{os.pathsep}{environment['PYTHONPATH']}",
                "AWS_LAMBDA_RUNTIME_API": api.address,
                "LAMBDA_TASK_ROOT": str(folder),
            }
            async with running(command, environment, cwd=folder) as process:
                yield BufferedTarget(process, api.ask)

    def event(self, name: str) -> bytes:
        """Return an event of `events/` with the token in it."""
        text = (ROOT / "events" / f"{name}.json").read_text()
        return text.replace("${TOKEN}", self.token).encode()

    def put(self, item: Mapping[str, str]) -> None:
        """Put an item of strings into the store."""
        strings = {name: {"S": value} for name, value in item.items()}
        client_of(self.store_url).put_item(TableName=TABLE, Item=strings)

    def _payload(self, agent: str, message: str) -> bytes:
        event = json.loads(self.event("stream-run"))
        path = f"/api/agents/{agent}/runs/stream"
        event["rawPath"] = event["requestContext"]["http"]["path"] = path
        event["body"] = json.dumps({"message": message})
        return json.dumps(event).encode()

    @asynccontextmanager
    async def peer(
        self, model: str, settings: Mapping[str, str] | None = None
    ) -> AsyncIterator[Target]:
        """Run FastAPI with pydantic-ai and a model: `stamped`, `searching` or one of Bedrock's."""
        environment = {**self.environment_of(self.builds[0]), **(settings or {})}
        command: list[str | Path] = [self.interpreter.command, "-m", "bench.inside.peer"]
        async with _served(command, environment, model) as target:
            yield target

    @asynccontextmanager
    async def strands(self) -> AsyncIterator[Target]:
        """Run FastAPI with Strands Agents and the stamped model, on packages of its own."""
        command: list[str | Path] = [STRANDS / "bin" / "python", "-m", "bench.inside.strands_peer"]
        async with _served(command, self.environment) as target:
            yield target

    @asynccontextmanager
    async def stamped(self, **settings: str) -> AsyncIterator[Targets]:
        """Run every build on the light store, and the peers, all with the stamped model."""
        async with AsyncExitStack() as stack:
            targets = {
                build.name: await stack.enter_async_context(
                    self.function(build, STAMPED, {**self.on_light_store, **settings})
                )
                for build in self.builds
            }
            targets["peer"] = await stack.enter_async_context(self.peer("stamped"))
            if self.has_peers:
                targets["strands"] = await stack.enter_async_context(self.strands())
            for target in targets.values():
                await target.complete("echo", "/emit 200")
            yield targets


@asynccontextmanager
async def _served(
    command: Sequence[str | Path], environment: Mapping[str, str], *options: str
) -> AsyncIterator[Target]:
    """
    Run a peer, whose socket listens before it starts.

    So its client waits in the backlog as an event waits at the Runtime API; nobody polls.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        fd = listening.fileno()
        client = PeerClient(listening.getsockname()[1])
        command = [*command, str(fd), *options]
        async with running(command, environment, pass_fds=[fd]) as process:
            yield Target(process, client.stream)
            await client.close()


@asynccontextmanager
async def open_lab() -> AsyncIterator[Lab]:
    """
    Start the stores, make an identity and link the packages; all of it ends with the block.

    `BEFORE` in the environment is a second checkout to measure beside this one, `PEERS` set brings
    in the peers that have packages of their own.
    """
    with tempfile.TemporaryDirectory(prefix="agentrun-bench-") as name:
        folder = Path(name)
        builds = [make_build("ours", ROOT, folder / "ours")]
        if before := os.environ.get("BEFORE"):
            builds.append(make_build("before", Path(before), folder / "before"))
        async with moto_store() as store_url, light_store() as light_store_url:
            yield Lab(
                store_url,
                light_store_url,
                DevIdentity(folder),
                make_interpreter(folder),
                builds,
                has_peers=bool(os.environ.get("PEERS")),
            )
