"""`agentrun deploy` asks for what has no good default, once, and hands the rest to SAM."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentrun_local.deploy import command
from agentrun_local.deploy.command import DeployOptions, run_deploy
from agentrun_local.doctor.account import NotLookedAtError
from agentrun_local.errors import LocalStackError
from agentrun_project.creating import create_project

ISSUER, AUDIENCE = "https://issuer.example/", "https://agents.example"
OUTPUTS = [
    {"OutputKey": "RestApiBaseUrl", "OutputValue": "https://api.example/live"},
    {"OutputKey": "FunctionUrlBase", "OutputValue": "https://url.example"},
]


class Aws:
    """Stands for the account: whether it has a role for logs, or does not answer at all."""

    def __init__(self) -> None:
        self.role = "arn:aws:iam::123456789012:role/logs"
        self.is_silent = False

    def __call__(self, **_: Any) -> "Aws":
        return self

    def ask(self, service: str, operation: str, **_: Any) -> Any:
        if self.is_silent:
            raise NotLookedAtError("there are no AWS credentials here")
        assert operation in {"get_account", "describe_stacks"}
        if service == "apigateway":
            return {"cloudwatchRoleArn": self.role} if self.role else {}
        return {"Stacks": [{"Outputs": OUTPUTS}]}


class Deployer:
    """Deploys a project with answers typed in advance; notes what was asked and run."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.asked: list[str] = []
        self.ran: list[list[str]] = []
        self.variables: Mapping[str, str] = {}
        self.statuses: Iterator[int] = iter([])

    def __call__(self, *answers: str, **options: Any) -> int:
        self.asked, self.ran = [], []
        typed = iter(answers)

        def ask(question: str) -> str:
            self.asked.append(question)
            return next(typed)

        template = self.project / "template.yaml"
        return run_deploy(DeployOptions(template, **options), ask, self._run)

    def _run(self, words: Sequence[str], folder: Path, variables: Mapping[str, str]) -> int:
        assert folder == self.project
        self.ran.append(list(words[3:]))
        self.variables = variables
        return next(self.statuses, 0)

    @property
    def parameters(self) -> dict[str, str]:
        """What SAM was given."""
        words = self.ran[-1]
        named = words[words.index("--parameter-overrides") + 1]
        found: dict[str, str] = yaml.safe_load(Path(named.removeprefix("file://")).read_text())
        return found


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Aws:
    aws = Aws()
    monkeypatch.setattr(command, "Account", aws)
    monkeypatch.setattr(command, "warn_of_issuer", lambda *_: None)
    return aws


@pytest.fixture
def deploy(aws: Aws, tmp_path: Path) -> Deployer:
    create_project(tmp_path / "shop")
    return Deployer(tmp_path / "shop")


def tracked(project: Path) -> dict[str, str]:
    ignored = {".agentrun", "__pycache__"}
    files = (path for path in project.rglob("*") if path.is_file() and not ignored & {*path.parts})
    return {path.name: path.read_text(encoding="utf-8") for path in files}


def test_the_first_asks_for_issuer_and_audience_and_later_ones_for_nothing(
    deploy: Deployer, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tracked(deploy.project)
    assert deploy(ISSUER, AUDIENCE) == 0
    assert deploy.asked == ["Issuer", "Audience"]
    assert deploy.parameters == {"Issuer": ISSUER, "Audience": AUDIENCE}
    said = capsys.readouterr().out
    assert "REST API      https://api.example/live" in said
    assert "make smoke STACK=shop" in said
    assert deploy() == 0
    assert deploy.asked == []
    assert deploy.parameters == {"Issuer": ISSUER, "Audience": AUDIENCE}
    assert tracked(deploy.project) == before
    assert (deploy.project / ".agentrun/deploy-default.yaml").stat().st_mode & 0o777 == 0o600


def test_it_builds_for_the_processor_and_deploys_by_the_settings_of_the_project(
    deploy: Deployer,
) -> None:
    assert deploy(ISSUER, AUDIENCE, parameters={"Architecture": "x86_64"}, region="eu-west-1") == 0
    build, deployed = deploy.ran
    assert build == ["build"]
    assert deploy.variables["ARCH"] == "x86_64"
    assert deployed[:5] == ["deploy", "--config-env", "default", "--region", "eu-west-1"]
    assert deploy.parameters["Architecture"] == "x86_64"


def test_what_samconfig_says_is_not_asked_for_and_not_lost(deploy: Deployer) -> None:
    assert deploy(ISSUER, AUDIENCE, config_env="prod") == 0
    assert deploy.parameters == {
        "Issuer": ISSUER,
        "Audience": AUDIENCE,
        "LogRetentionDays": "90",
    }
    assert deploy.ran[-1][2] == "prod"


def test_an_answer_that_the_template_refuses_is_asked_for_again(
    deploy: Deployer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy("issuer.example", ISSUER, "", AUDIENCE) == 0
    assert deploy.asked == ["Issuer", "Issuer", "Audience", "Audience"]
    assert "must be the http(s) URL in the tokens' `iss` claim" in capsys.readouterr().out


def test_without_a_terminal_it_says_how_to_give_what_is_missing(deploy: Deployer) -> None:
    with pytest.raises(LocalStackError, match="--parameter Issuer=… --parameter Audience=…"):
        run_deploy(DeployOptions(deploy.project / "template.yaml"), None)


def test_a_parameter_that_does_not_do_is_refused_before_anything_is_built(
    deploy: Deployer,
) -> None:
    for given, said in (({"Isuer": "x"}, "no parameter Isuer"), ({"Issuer": "x"}, "Issuer=x")):
        with pytest.raises(LocalStackError, match=said):
            deploy(parameters=given)
    assert deploy.ran == []
    assert not (deploy.project / ".agentrun/deploy-default.yaml").exists()


def test_an_account_without_a_role_for_logs_gets_one_and_keeps_it(
    deploy: Deployer, aws: Aws
) -> None:
    aws.role = ""
    deploy(ISSUER, AUDIENCE)
    assert deploy.parameters["ApiGatewayLogging"] == "create"
    aws.role = "arn:aws:iam::123456789012:role/shop-ApiGatewayLoggingRole"
    deploy()
    assert deploy.parameters["ApiGatewayLogging"] == "create"


def test_a_step_that_fails_ends_it_with_its_status(deploy: Deployer) -> None:
    deploy.statuses = iter([7])
    assert deploy(ISSUER, AUDIENCE) == 7
    assert deploy.ran == [["build"]]


def test_what_is_built_can_be_deployed_as_it_is(deploy: Deployer) -> None:
    assert deploy(ISSUER, AUDIENCE, is_built=True) == 0
    assert [words[0] for words in deploy.ran] == ["deploy"]


def test_without_credentials_the_role_and_the_outputs_are_not_known(
    deploy: Deployer, aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    aws.is_silent = True
    assert deploy(ISSUER, AUDIENCE) == 0
    said = capsys.readouterr().out
    assert "Warning: whether API Gateway may write logs is not known" in said
    assert "the outputs of shop cannot be read" in said


def test_answers_that_cannot_be_read_are_named(deploy: Deployer) -> None:
    deploy(ISSUER, AUDIENCE)
    kept = deploy.project / ".agentrun/deploy-default.yaml"
    for text in ("a: [", json.dumps(["a"])):
        kept.write_text(text, encoding="utf-8")
        with pytest.raises(LocalStackError, match="mend or delete it"):
            deploy()
