"""The playground switched on, changed and switched off again, on a stand-in for AWS."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agentrun_local.playground.assets import STATIC
from tests.deploy.artefacts import Artefacts
from tests.deploy.rehearsal import PYTHON, STACK, DeployedStack, deploy, issuer, ministack

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not PYTHON.exists(),
        reason="ministack is not installed; `make rehearse` does it where there is a Python 3.13",
    ),
]
WITHOUT_TLS = ("aws:SecureTransport: 'false'", "aws:SecureTransport: 'true'")
"""Nothing here has TLS, so that the buckets would refuse the functions."""


@dataclass(frozen=True)
class Playground:
    """A stack with a playground, and the issuer that it was deployed with."""

    stack: DeployedStack
    issuer: str

    @property
    def bucket(self) -> str:
        return self.stack.physical_id("PlaygroundBucket")

    def text(self, key: str) -> str:
        found = self.stack.client("s3").get_object(Bucket=self.bucket, Key=key)
        return str(found["Body"].read().decode())

    def config(self) -> dict[str, str]:
        config: dict[str, str] = json.loads(self.text("playground/config.json"))
        return config

    def change(self, **parameters: str) -> None:
        """Deploy again with other parameters, and the same ones otherwise."""
        given = [line.partition(": ") for line in self.stack.parameters.read_text().splitlines()]
        chosen = {name: value.strip('"') for name, _, value in given} | parameters
        lines = (f'{name}: "{value}"\n' for name, value in chosen.items())
        self.stack.parameters.write_text("".join(lines))
        self.stack.sam(
            *("deploy", "--no-confirm-changeset", "--stack-name", STACK),
            *("--parameter-overrides", f"file://{self.stack.parameters}"),
        )


def taking_plain_http(built: Artefacts, project: Path) -> Artefacts:
    """Copy what is built, but for the rule that wants TLS of those who use buckets."""
    build = project / ".aws-sam/build"
    build.mkdir(parents=True)
    shutil.copy(built.project / "samconfig.toml", project)
    for folder in built.build.iterdir():
        if folder.is_dir():
            (build / folder.name).symlink_to(folder)
    template = (built.build / "template.yaml").read_text()
    assert template.count(WITHOUT_TLS[0]) == 2
    (build / "template.yaml").write_text(template.replace(*WITHOUT_TLS))
    return Artefacts(project)


@pytest.fixture(scope="module")
def playground(built: Artefacts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playground]:
    scratch = tmp_path_factory.mktemp("playground")
    project = taking_plain_http(built, scratch / "plain")
    with issuer() as issuer_url, ministack(scratch) as endpoint:
        given = {"Playground": "On", "PlaygroundClientId": "page"}
        yield Playground(deploy(project, endpoint, issuer_url, scratch, **given), issuer_url)


def test_the_function_has_put_all_files_into_the_bucket_with_the_rights_of_its_role(
    playground: Playground,
) -> None:
    found = playground.stack.client("s3").list_objects_v2(Bucket=playground.bucket)["Contents"]
    files = {f.relative_to(STATIC).as_posix() for f in STATIC.rglob("*") if f.is_file()}
    assert {entry["Key"] for entry in found} == {*files, "docs", "docs/", "playground/config.json"}
    assert playground.text("index.html") == (STATIC / "index.html").read_text()
    assert playground.config()["issuer"] == playground.issuer


def test_the_distribution_has_the_bucket_and_the_api_on_one_origin(playground: Playground) -> None:
    cloudfront = playground.stack.client("cloudfront")
    (found,) = cloudfront.list_distributions()["DistributionList"]["Items"]
    url = playground.stack.outputs()["PlaygroundUrl"]
    assert url == f"https://{found['DomainName']}/"
    config: Any = cloudfront.get_distribution_config(Id=found["Id"])["DistributionConfig"]
    origins = {one["Id"]: one for one in config["Origins"]["Items"]}
    assert origins["files"]["DomainName"].startswith(f"{playground.bucket}.s3.")
    base_url = playground.stack.outputs()["RestApiBaseUrl"]
    assert base_url == f"https://{origins['api']['DomainName']}{origins['api']['OriginPath']}"
    (behaviour,) = config["CacheBehaviors"]["Items"]
    assert (behaviour["PathPattern"], behaviour["TargetOriginId"]) == ("/api/*", "api")


def test_a_changed_parameter_changes_the_pages_settings(playground: Playground) -> None:
    playground.change(PlaygroundClientId="another")
    assert playground.config()["clientId"] == "another"


def test_switched_off_there_is_nothing_left_of_it(playground: Playground) -> None:
    """The last one in this file: the others need it."""
    bucket = playground.bucket
    # What a condition alone takes away is no change to the stand-in, so another one goes with it.
    playground.change(Playground="Off", LogRetentionDays="60")
    named = {found["LogicalResourceId"] for found in playground.stack.resources()}
    assert [name for name in named if name.startswith("Playground")] == []
    buckets = playground.stack.client("s3").list_buckets()["Buckets"]
    assert bucket not in {one["Name"] for one in buckets}
    cloudfront = playground.stack.client("cloudfront")
    assert cloudfront.list_distributions()["DistributionList"].get("Items", []) == []
    assert "PlaygroundUrl" not in playground.stack.outputs()
