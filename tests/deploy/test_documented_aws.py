"""The documented commands of the AWS CLI, typed into the real one, against moto's server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documented import PAGES, ROOT, SHELL, blocks_of, program_of
from tests.server_process import free_port, running_server
from tests.tables import TABLE, client_of, create_table

CLI = ROOT / ".venv/awscli/bin"
GIVEN = """
set -eu
PASSWORD=Correct-horse-7-battery
API_ID=$(aws apigateway create-rest-api --name agentrun --query id --output text)
ROOT_ID=$(aws apigateway get-resources --rest-api-id "$API_ID" --query 'items[0].id' --output text)
METHOD="--rest-api-id $API_ID --resource-id $ROOT_ID --http-method GET"
aws apigateway put-method $METHOD --authorization-type NONE
aws apigateway put-integration $METHOD --type MOCK
aws apigateway create-deployment --rest-api-id "$API_ID" --stage-name live
aws apigateway create-domain-name --domain-name api.example.com
aws s3 mb s3://a-bucket
aws logs create-log-group --log-group-name /agentrun/agentrun/stream
"""
"""What the page leaves to its reader, the deployed API included."""


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve what stands for AWS, with a table in it; yields its URL."""
    scratch = tmp_path_factory.mktemp("moto")
    port = free_port()
    server = str(Path(sys.executable).with_name("moto_server"))
    environment = {"PATH": os.environ["PATH"], "HOME": str(scratch)}
    command = [server, "-p", str(port)]
    with running_server(command, port, environment=environment, cwd=scratch, log=scratch / "log"):
        url = f"http://127.0.0.1:{port}"
        create_table(client_of(url))
        yield url


def documented() -> list[str]:
    return [
        command
        for page in PAGES
        for block in blocks_of(page, SHELL)
        for command in block.commands
        if program_of(command) == "aws"
    ]


@pytest.mark.timeout(300)
def test_the_aws_cli_takes_every_documented_command(endpoint: str, tmp_path: Path) -> None:
    (tmp_path / "variables.json").write_text('{"WIKI_TOKEN": "secret"}', encoding="utf-8")
    commands = documented()
    assert len(commands) >= 12
    names = {"TABLE_NAME": TABLE, "BUCKET_NAME": "a-bucket", "http://127.0.0.1:PORT": endpoint}
    script = GIVEN + "\n".join(commands)
    for name, value in names.items():
        script = script.replace(name, value)
    done = subprocess.run(
        ["/bin/bash", "-c", script],
        cwd=tmp_path,
        env={
            "PATH": f"{CLI}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        },
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert client_of(endpoint).list_tables()["TableNames"] == []
