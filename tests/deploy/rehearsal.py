"""The stack on ministack, a stand-in for AWS that checks IAM policies, deployed by SAM CLI."""

import http.client
import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import boto3

from tests.contract.test_token_verifier import JWKS
from tests.deploy.artefacts import ARCHITECTURE, ROOT, Artefacts, sam
from tests.server_process import free_port, running_server
from tests.spoiling_proxy import Asked, Forward, Spoilt, spoiling_proxy

PYTHON = ROOT / ".venv" / "ministack" / "bin" / "python"
REGION = "eu-west-1"
STACK = "agentrun"
ROOT_USER = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


class _KeysOfTheIssuer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps(JWKS).encode() if self.path == "/.well-known/jwks.json" else b""
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def issuer() -> Iterator[str]:
    """Publish the test keys where an OIDC issuer publishes its own; gives its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _KeysOfTheIssuer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def ministack(scratch: Path) -> Iterator[str]:
    """Serve what stands for AWS on loopback, with IAM in force; gives the endpoint's URL."""
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "AUTH": "true",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "MINISTACK_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        **ROOT_USER,
        # Its functions inherit the environment: the demo model need not pause between words.
        "AGENTRUN_DEMO_DELAY_MS": "0",
    }
    command = [str(PYTHON), "-m", "ministack"]
    log = scratch / "ministack.log"
    with running_server(command, port, environment=environment, cwd=scratch, log=log):
        yield f"http://127.0.0.1:{port}"


@dataclass(frozen=True)
class Answer:
    """What came back over HTTP; header names in small letters."""

    status: int
    headers: dict[str, str]
    body: str

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class DeployedStack:
    """The stack and its two doors."""

    endpoint: str
    project: Path
    parameters: Path
    name: str = STACK

    def client(self, service: str, **credentials: str) -> Any:
        """Talk to the stand-in, as its root user if not told otherwise."""
        given = credentials or {name.lower(): value for name, value in ROOT_USER.items()}
        # Its overloads want each service's name to the letter.
        make = cast("Any", boto3.client)
        return make(service, endpoint_url=self.endpoint, region_name=REGION, **given)

    def resources(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = self.client("cloudformation").describe_stack_resources(
            StackName=self.name
        )["StackResources"]
        return found

    def physical_id(self, logical_id: str) -> str:
        (found,) = (r for r in self.resources() if r["LogicalResourceId"] == logical_id)
        return found["PhysicalResourceId"]

    def outputs(self) -> dict[str, str]:
        (stack,) = self.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def rest(self, path: str, token: str | None = None, body: object = None) -> Answer:
        """Call the REST API at its base URL; with a body, by POST."""
        scheme, _, host, stage = self.outputs()["RestApiBaseUrl"].split("/")
        assert scheme == "https:"
        # The stand-in's own name for the host of an API.
        host = f"{host.split('.')[0]}.execute-api.localhost"
        return self._call(host, f"/{stage}{path}", token, body)

    def function_url(self, path: str, token: str | None = None, body: object = None) -> Answer:
        """
        Call the Function URL at its base URL, by POST.

        The stand-in calls the handler as a plain function and sends on what it returns, unread: the
        answer is unpacked here. AWS gets a stream from the runtime instead.
        """
        host = self.outputs()["FunctionUrlBase"].removeprefix("https://")
        packed = self._call(host, path, token, body).json()
        return Answer(packed["statusCode"], packed["headers"], packed["body"])

    @contextmanager
    def doors(self) -> Iterator[tuple[str, str]]:
        """
        Serve both doors at base URLs that clients without a `Host` of their own can use.

        The stand-in has such URLs itself; at the Function URL's the answer is unpacked on the way.
        """
        outputs = self.outputs()
        api = outputs["RestApiBaseUrl"].removeprefix("https://").split(".")[0]
        url = outputs["FunctionUrlBase"].removeprefix("https://").split(".")[0]

        def unpacked(asked: Asked, forward: Forward) -> Spoilt:
            path = f"/_aws/lambda-url/{url}{asked.path}"
            packed = json.loads(b"".join(forward(replace(asked, path=path)).body))
            fields = list(packed["headers"].items())
            return Spoilt(packed["statusCode"], fields, [packed["body"].encode()])

        with spoiling_proxy(self.endpoint, unpacked) as function_url:
            yield f"{self.endpoint}/_aws/execute-api/{api}/live", function_url

    def _call(self, host: str, path: str, token: str | None, body: object) -> Answer:
        headers = {"Host": host, "Accept": "*/*"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection(self.endpoint.removeprefix("http://"), timeout=60)
        try:
            method = "GET" if body is None else "POST"
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            fields = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, fields, answer.read().decode())
        finally:
            connection.close()

    def sam(self, *arguments: str) -> str:
        """Run SAM CLI as somebody who deploys would, but for the endpoint."""
        home = self.parameters.parent
        return sam(
            *arguments,
            project=self.project,
            HOME=str(home),
            AWS_ENDPOINT_URL=self.endpoint,
            **ROOT_USER,
        )


def deploy(
    built: Artefacts,
    endpoint: str,
    issuer_url: str,
    scratch: Path,
    *,
    name: str = STACK,
    **changes: str,
) -> DeployedStack:
    """
    Deploy what is built by the command of docs/deploy.md, its parameters in a file.

    Args:
        built: The artefacts.
        endpoint: What stands for AWS.
        issuer_url: Where the issuer of the tokens is.
        scratch: Where the command may write.
        name: The stack's name, one that the account does not have yet.
        changes: Parameters that are to be others than those of the rehearsal.
    """
    parameters = scratch / f"{name}.yaml"
    chosen = {
        "Issuer": issuer_url,
        "Audience": "agentrun",
        "OrgClaim": "org",
        "Model": "demo",
        "OtherProviders": "true",
        # A new account has no role for access logs yet.
        "ApiGatewayLogging": "create",
        "Architecture": ARCHITECTURE,
    } | changes
    parameters.write_text("".join(f'{name}: "{value}"\n' for name, value in chosen.items()))
    project = scratch / name
    project.mkdir()
    shutil.copy(built.project / "samconfig.toml", project)
    (project / ".aws-sam").symlink_to(built.project / ".aws-sam")
    stack = DeployedStack(endpoint, project, parameters, name)
    stack.sam(
        *("deploy", "--no-confirm-changeset", "--stack-name", name),
        *("--parameter-overrides", f"file://{parameters}"),
    )
    return stack
