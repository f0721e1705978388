"""The artefacts that `sam build` makes, run by a bare Python of the runtime's version."""

import json
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.anthropic_api import MessageReply, anthropic_server
from tests.bedrock import Text
from tests.deploy.artefacts import (
    BUILT,
    LAYERS,
    PLAYGROUND,
    Artefacts,
    build,
    invoke,
    lambda_environment,
)
from tests.integration import rie
from tests.integration.conftest import event_file
from tests.openai_compatible import ChatReply, openai_compatible_server

pytestmark = pytest.mark.timeout(300)

BUDGET_BYTES = 80_000_000
BUDGETED = ("CoreLayer", "EngineLayer", "AgentsLayer")
# Lambda's own, of a function with all of its layers, unzipped (quotas, "Deployment package size").
LIMIT_BYTES = 250_000_000
EVENTS = {
    "StreamFunction": "stream-run.json",
    "StatusFunction": "list-agents.json",
    "WorkerFunction": "run-message.json",
    "WebhookFunction": "run-ended.json",
    "AuthorizerFunction": "authorizer.json",
}


def state(folder: Path) -> dict[Path, tuple[int, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def succeeded(function: str, answer: dict[str, Any]) -> bool:
    if function == "AuthorizerFunction":
        statements = answer["policyDocument"]["Statement"]
        return [statement["Effect"] for statement in statements] == ["Allow"]
    if function in {"WorkerFunction", "WebhookFunction"}:
        # There is no such run, and a webhook that wants failures only: there is nothing to do.
        return answer == {"batchItemFailures": []}
    body = str(answer["body"])
    return answer["statusCode"] == 200 and ("STOP" in body or "docs_assistant" in body)


@pytest.mark.parametrize("function", BUILT)
def test_a_built_function_answers_with_nothing_but_what_was_built(
    runtime: str, built: Artefacts, environment: dict[str, str], function: str
) -> None:
    before = state(built.build)
    event = event_file(EVENTS[function])
    result = invoke(runtime, built, function, event, environment)
    assert succeeded(function, result["answer"])
    # /opt and /var/task are read-only on Lambda: what is compiled there is compiled every time.
    assert state(built.build) == before
    command = [runtime, "-S", "-c", "import os; print(os.path.dirname(os.__file__))"]
    library = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    homes = (library, str(built.build))
    assert [file for file in result["files"] if not file.startswith(homes)] == []


@pytest.mark.parametrize("model", ["openai:qwen3", "anthropic:claude-haiku-4-5"])
def test_another_provider_is_called_with_the_client_in_its_layer_and_not_without(
    runtime: str, built: Artefacts, environment: dict[str, str], model: str
) -> None:
    function, event = "StreamFunction", event_file("stream-run.json")
    with openai_compatible_server() as served, anthropic_server() as claude:
        served.always(ChatReply(Text("It is 3.")))
        claude.always(MessageReply(Text("It is 3.")))
        keys = {"OPENAI_API_KEY": "sk-of-the-secret", "ANTHROPIC_API_KEY": "sk-of-the-secret"}
        # moto's server has Secrets Manager, too.
        manager = environment["AWS_ENDPOINT_URL_DYNAMODB"]
        client = boto3.client("secretsmanager", endpoint_url=manager)
        content = json.dumps({**served.environment, **claude.environment, **keys})
        arn = client.create_secret(Name=model.partition(":")[0], SecretString=content)["ARN"]
        given = {
            **environment,
            "AGENTRUN_MODEL": model,
            "AGENTRUN_SECRETS_ARN": arn,
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": manager,
        }
        bodies = [
            str(invoke(runtime, built, function, event, given, conditional=there)["answer"])
            for there in (True, False)
        ]
        (request,) = [*served.requests, *claude.requests]
    assert [("STOP" in body, "is not set up here" in body) for body in bodies] == [
        (True, False),
        (False, True),
    ]
    assert request.headers["authorization"] == "Bearer sk-of-the-secret"


def test_the_built_runtime_streams_under_its_built_wrapper(
    runtime: str, built: Artefacts, environment: dict[str, str], tmp_path: Path
) -> None:
    function = "StreamFunction"
    with rie.emulated(
        built.folder(function),
        (str(built.folder("StreamingLayer") / "bootstrap"), runtime),
        environment=lambda_environment(built, function, environment),
        scratch=tmp_path,
    ) as answer:
        prelude, body = answer(event_file("stream-run.json")).split(bytes(8), 1)
    assert json.loads(prelude)["statusCode"] == 200
    assert body.startswith(b"retry: 1000\nid: 1\n")
    assert b'"event":"STOP"' in body.split(b"\n\n")[-2]


@pytest.mark.parametrize("artefact", [*LAYERS, *BUILT, "PlaygroundFunction"])
def test_every_source_is_compiled_for_the_runtime_and_never_checked_again(
    runtime: str, built: Artefacts, artefact: str
) -> None:
    command = [runtime, "-c", "import importlib.util as u; print(u.MAGIC_NUMBER.hex())"]
    magic = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    # Flags 1: valid by hash, not to be checked (source: PEP 552).
    expected = bytes.fromhex(magic) + (1).to_bytes(4, "little")
    sources = [path for path in built.files(artefact) if path.suffix == ".py"]
    assert sources
    for source in sources:
        compiled = source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc"
        assert compiled.read_bytes()[:8] == expected


@pytest.mark.parametrize("artefact", [*LAYERS, *BUILT, "PlaygroundFunction"])
def test_an_artefact_holds_no_tests_no_caches_and_no_trace_of_the_builder(
    built: Artefacts, artefact: str
) -> None:
    folder = built.folder(artefact)
    names = {part for path in built.files(artefact) for part in path.relative_to(folder).parts}
    assert names.isdisjoint({"tests", "testsuite", ".venv", "bin", ".pytest_cache", ".mypy_cache"})
    compiled = [path for path in built.files(artefact) if path.suffix == ".pyc"]
    assert {path.name.split(".")[-2] for path in compiled} == {"cpython-313"}
    trace = str(built.project).encode()
    assert [path for path in built.files(artefact) if trace in path.read_bytes()] == []


def test_no_layer_hides_what_another_brings(built: Artefacts) -> None:
    held = {
        name: {path.relative_to(built.folder(name)): path for path in built.files(name)}
        for name in LAYERS
    }
    for one, other in combinations(held.values(), 2):
        for path in one.keys() & other.keys():
            assert one[path].read_bytes() == other[path].read_bytes()


def test_two_builds_are_the_same(
    built: Artefacts, tmp_path_factory: pytest.TempPathFactory
) -> None:
    again = build(tmp_path_factory.mktemp("again"), source=built.project)
    names = (*LAYERS, *BUILT, *PLAYGROUND)
    assert {n: built.digest(n) for n in names} == {n: again.digest(n) for n in names}


def test_the_layers_stay_within_their_budget(
    built: Artefacts, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = {name: built.size_bytes(name) for name in LAYERS}
    with capsys.disabled():
        shown = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sizes.items())
        print(f"\nunzipped: {shown}")  # noqa: T201 - the figures are what the test is run for
    assert sum(sizes[name] for name in BUDGETED) <= BUDGET_BYTES
    assert sum(sizes.values()) + built.size_bytes("StreamFunction") <= LIMIT_BYTES
