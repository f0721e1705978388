"""What `agentrun doctor` says of accounts, by the real boto3."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from agentrun_local.cli import main
from tests.aws_control_plane import ControlPlane, running_control_plane
from tests.documented import ROOT
from tests.issuer_server import PATH, Issuer, running_issuer, send

SONNET = "anthropic.claude-sonnet-5-5"
DEFAULT = f"global.{SONNET}"
SOON = datetime.now(UTC) + timedelta(days=30)
ROLE = "arn:aws:iam::123456789012:role/"
STACK = {"Resources": {"StreamFunction": {"Type": "AWS::CloudFormation::WaitConditionHandle"}}}


class Patient:
    """An account, its issuer, and a copy of the project's template to deploy."""

    def __init__(self, plane: ControlPlane, issuer: Issuer, folder: Path) -> None:
        self.plane, self.issuer, self.folder = plane, issuer, folder
        self.template = folder / "template.yaml"
        shutil.copy(ROOT / "template.yaml", self.template)
        self.agents = folder / "layers/agents/agent_catalog/agents"
        self.agents.mkdir(parents=True)
        self.discovery: dict[str, Any] = {"issuer": issuer.url, "jwks_uri": issuer.jwks_url}
        issuer.add_key("k1")
        issuer.published = ("k1",)
        issuer.answer = self._publish
        self.is_well()

    def is_well(self) -> None:
        """Answer as an account does in which all is as it should be."""
        self.has_model(SONNET)
        self.has_profile(DEFAULT, SONNET, ["eu-west-1"])
        self.is_available(SONNET)
        self.plane.answer("bedrock.GetUseCaseForModelAccess", formData="Y29tcGFueSBzZWNyZXQ=")
        self.may_run(1_000, 900)

    def has_model(self, model: str, **details: Any) -> None:
        whole = {
            "modelArn": f"arn:aws:bedrock:eu-west-1::foundation-model/{model}",
            "modelId": model,
            "responseStreamingSupported": True,
            # Not on demand. AWS says INFERENCE_PROFILE, which botocore does not know as a value.
            "inferenceTypesSupported": ["PROVISIONED"],
            "modelLifecycle": {"status": "ACTIVE"},
        }
        self.plane.answer("bedrock.GetFoundationModel", model, modelDetails={**whole, **details})

    def has_profile(self, profile: str, model: str, regions: list[str]) -> None:
        arns = [f"arn:aws:bedrock:{region}::foundation-model/{model}" for region in regions]
        name = profile.rpartition("/")[2]
        self.plane.answer(
            "bedrock.GetInferenceProfile",
            profile,
            inferenceProfileName=name.replace(".", " "),
            inferenceProfileArn=f"arn:aws:bedrock:eu-west-1:123456789012:inference-profile/{name}",
            inferenceProfileId=name,
            models=[{"modelArn": arn} for arn in arns],
            status="ACTIVE",
            type="SYSTEM_DEFINED",
        )

    def is_available(self, model: str, agreement: str = "AVAILABLE", **changes: str) -> None:
        states = {
            "authorizationStatus": "AUTHORIZED",
            "entitlementAvailability": "AVAILABLE",
            "regionAvailability": "AVAILABLE",
        }
        self.plane.answer(
            "bedrock.GetFoundationModelAvailability",
            model,
            modelId=model,
            agreementAvailability={"status": agreement},
            **{**states, **changes},
        )

    def may_run(self, most: int, free: int) -> None:
        limits = {"ConcurrentExecutions": most, "UnreservedConcurrentExecutions": free}
        self.plane.answer("lambda.GetAccountSettings", AccountLimit=limits)

    def has_role(self, role: str) -> None:
        change = {"op": "replace", "path": "/cloudwatchRoleArn", "value": role}
        boto3.client("apigateway").update_account(patchOperations=[change])  # type: ignore[list-item]

    def has_agent(self, text: str) -> None:
        lines = f"name: N\ndescription: D\n{text}\n"
        (self.agents / "one.yaml").write_text(lines, encoding="utf-8")

    def is_deployed(self, name: str, reserved: int) -> None:
        cloudformation = boto3.client("cloudformation")
        cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(STACK))
        resource = cloudformation.describe_stack_resource(
            StackName=name, LogicalResourceId="StreamFunction"
        )["StackResourceDetail"]
        function = resource["PhysicalResourceId"]
        self.plane.answer(
            "lambda.GetFunctionConcurrency", function, ReservedConcurrentExecutions=reserved
        )

    def _publish(self, handler: Any) -> None:
        if handler.path == PATH:
            self.issuer.publish(handler)
        elif handler.path == "/.well-known/openid-configuration" and self.discovery:
            send(handler, 200, json.dumps(self.discovery).encode())
        else:
            send(handler, 404)


@pytest.fixture
def patient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Patient]:
    with running_control_plane() as plane, running_issuer() as issuer, mock_aws():
        for name, value in plane.environment.items():
            monkeypatch.setenv(name, value)
        found = Patient(plane, issuer, tmp_path)
        found.has_role(f"{ROLE}api-gateway-logs")
        yield found


class Table:
    """The command's exit status and what it printed."""

    def __init__(self, status: int, text: str) -> None:
        self.status, self.text = status, text
        self.flat = " ".join(text.split())

    def row(self, verdict: str, check: str, *said: str) -> None:
        """Require a row with these words, its remedy among them."""
        rows = [row for row in self._rows() if row.startswith(f"{verdict} {check} ")]
        assert any(all(words in row for words in said) for row in rows), self.text

    def _rows(self) -> list[str]:
        joined = self.text.rpartition("\n\n")[0].replace("\n ", " ")
        return [" ".join(line.split()) for line in joined.splitlines()]


class Doctor:
    """The command, called by a developer with the parameters of the fake issuer."""

    def __init__(self, patient: Patient, capsys: pytest.CaptureFixture[str]) -> None:
        self._patient, self._capsys = patient, capsys

    def __call__(self, *options: str, **parameters: str) -> Table:
        given = {"Issuer": self._patient.issuer.url, "Audience": "agentrun", **parameters}
        words = [word for pair in given.items() for word in ("--parameter", "=".join(pair))]
        status = main(["doctor", "--template", str(self._patient.template), *words, *options])
        return Table(status, self._capsys.readouterr().out)


@pytest.fixture
def doctor(patient: Patient, capsys: pytest.CaptureFixture[str]) -> Doctor:
    return Doctor(patient, capsys)


def test_an_account_in_which_all_is_well_has_no_problem(patient: Patient, doctor: Doctor) -> None:
    table = doctor()
    assert table.status == 0, table.text
    assert table.text.splitlines()[-1].startswith("0 problems, ")
    table.row("ok", "region and identity", "eu-west-1, account 123456789012")
    table.row("ok", "parameters", "2 given")
    table.row("ok", "model access", DEFAULT)
    table.row("ok", "model life cycle", "ACTIVE")
    table.row("not looked at", "model regions", "any commercial region", "'unspecified'")
    table.row("ok", "Anthropic's form", "has been sent")
    table.row("ok", "Lambda concurrency", "1000 invocations at once")
    table.row("ok", "access logs", f"{ROLE}api-gateway-logs")
    table.row("ok", "issuer's name", patient.issuer.url)
    table.row("ok", "issuer's keys", "has 1 that may verify tokens")


def test_nothing_is_changed_and_no_secret_is_shown(patient: Patient, doctor: Doctor) -> None:
    table = doctor()
    assert {line.split()[0] for line in patient.plane.asked} == {"GET"}
    for secret in ("company secret", "Y29tcGFueSBzZWNyZXQ=", "AWS_SECRET_ACCESS_KEY"):
        assert secret not in table.flat


def test_a_model_that_ends_is_a_warning_and_one_that_has_ended_a_problem(
    patient: Patient, doctor: Doctor
) -> None:
    life = {"status": "LEGACY", "endOfLifeTime": SOON.isoformat()}
    patient.has_model(SONNET, modelLifecycle=life)
    table = doctor()
    table.row("warning", "model life cycle", "LEGACY", f"ends on {SOON:%Y-%m-%d}", "successor")
    assert table.status == 0
    patient.has_model(SONNET, modelLifecycle={**life, "endOfLifeTime": "2026-01-01T00:00:00Z"})
    table = doctor()
    table.row("problem", "model life cycle", "ends on 2026-01-01", "every run of it fails")
    assert table.status == 1


def test_an_active_model_whose_end_is_near_is_a_warning(patient: Patient, doctor: Doctor) -> None:
    near, far = SOON.isoformat(), (SOON + timedelta(days=365)).isoformat()
    patient.has_model(SONNET, modelLifecycle={"status": "ACTIVE", "endOfLifeTime": near})
    doctor().row("warning", "model life cycle", f"ends on {SOON:%Y-%m-%d}")
    patient.has_model(SONNET, modelLifecycle={"status": "ACTIVE", "endOfLifeTime": far})
    doctor().row("ok", "model life cycle", "ACTIVE")


AVAILABILITY = [
    (("NOT_AVAILABLE", {}), "problem", "has not subscribed", "aws-marketplace:Subscribe"),
    (("AVAILABLE", {"entitlementAvailability": "NOT_AVAILABLE"}), "problem", "not subscribed", ""),
    (("AVAILABLE", {"authorizationStatus": "NOT_AUTHORIZED"}), "problem", "not authorized", "IAM"),
    (("ERROR", {}), "problem", "subscription has failed", "aws-marketplace:Subscribe"),
    (("PENDING", {}), "warning", "under way", "Wait 15 minutes"),
    # A profile answers from elsewhere.
    (("AVAILABLE", {"regionAvailability": "NOT_AVAILABLE"}), "ok", "may be called", ""),
]


@pytest.mark.parametrize(("state", "verdict", "said", "remedy"), AVAILABILITY)
def test_a_model_that_cannot_be_called_yet_is_told_with_what_opens_it(
    patient: Patient,
    doctor: Doctor,
    state: tuple[str, dict[str, str]],
    verdict: str,
    said: str,
    remedy: str,
) -> None:
    patient.is_available(SONNET, state[0], **state[1])
    table = doctor()
    table.row(verdict, "model access", said, remedy)
    assert table.status == (verdict == "problem")


def test_a_form_that_was_not_sent_is_a_problem_where_models_are_locked(
    patient: Patient, doctor: Doctor
) -> None:
    patient.plane.fail("bedrock.GetUseCaseForModelAccess", "ResourceNotFoundException")
    doctor().row("warning", "Anthropic's form", "though its models may be called")
    patient.is_available(SONNET, "NOT_AVAILABLE")
    doctor().row("problem", "Anthropic's form", "use case details", "Model catalog")


def test_models_of_agents_are_looked_at_each_once(patient: Patient, doctor: Doctor) -> None:
    nova, haiku = "amazon.nova-pro-v1:0", "anthropic.claude-haiku-4-5-20251001-v1:0"
    patient.has_agent(
        f"model: bedrock:{nova}\nmodels: [bedrock:{DEFAULT}]\nfollowup_model: bedrock:eu.{haiku}"
    )
    patient.has_model(nova, inferenceTypesSupported=["ON_DEMAND"])
    patient.is_available(nova)
    patient.has_model(haiku)
    patient.is_available(haiku)
    patient.has_profile(f"eu.{haiku}", haiku, ["eu-west-3", "eu-central-1"])
    table = doctor()
    assert table.status == 0, table.text
    table.row("ok", "model access", f"{nova}: may be called")
    table.row("not looked at", "model regions", f"eu.{haiku}", "eu-central-1, eu-west-3")
    assert sum("GetInferenceProfile" in line for line in patient.plane.asked) == 2


def test_a_model_that_only_a_profile_can_call_is_a_problem(
    patient: Patient, doctor: Doctor
) -> None:
    table = doctor(Model=f"bedrock:{SONNET}")
    table.row("problem", "model access", "cannot be called by its own name", f"global.{SONNET}")
    assert table.status == 1


@pytest.mark.parametrize("missing", ["eu.anthropic.no-such", "anthropic.no-such"])
def test_a_model_that_does_not_exist_is_a_problem(doctor: Doctor, missing: str) -> None:
    table = doctor(Model=f"bedrock:{missing}")
    table.row("problem", "model", f"{missing}: there is no such model", "eu-west-1")


def test_a_profile_may_be_named_by_its_arn(patient: Patient, doctor: Doctor) -> None:
    arn = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/a1b2c3d4e5f6"
    patient.has_profile(arn, SONNET, ["eu-west-1"])
    table = doctor(Model=f"bedrock:{arn}")
    table.row("ok", "model access", arn)
    table.row("not looked at", "model regions", "answers from eu-west-1")


def test_other_providers_need_their_layer_and_a_key(patient: Patient, doctor: Doctor) -> None:
    patient.has_agent("model: openai:gpt-5")
    doctor().row("problem", "model", "openai:gpt-5: no layer", "OtherProviders=true")
    doctor(OtherProviders="true").row("warning", "model", "SecretsArn is empty")
    secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:keys-a1b2c3"
    table = doctor(OtherProviders="true", SecretsArn=secret)
    table.row("not looked at", "model", "openai:gpt-5: its provider is not asked")


def test_a_broken_agents_file_is_a_problem(patient: Patient, doctor: Doctor) -> None:
    patient.has_agent("modle: demo")
    table = doctor()
    table.row("problem", "agents", "one.yaml:3: modle")
    assert table.status == 1


def test_a_new_accounts_few_invocations_are_a_warning(patient: Patient, doctor: Doctor) -> None:
    patient.may_run(10, 10)
    table = doctor()
    table.row("warning", "Lambda concurrency", "10 invocations at once", "L-B99A9384")
    assert table.status == 0


def test_a_reservation_has_to_leave_100(patient: Patient, doctor: Doctor) -> None:
    patient.may_run(1_000, 900)
    assert doctor(StreamConcurrency="800").status == 0
    table = doctor(StreamConcurrency="801")
    table.row("problem", "Lambda concurrency", "StreamConcurrency=801", "StreamConcurrency=800")
    assert table.status == 1


def test_what_the_stack_itself_has_reserved_is_free_for_it(
    patient: Patient, doctor: Doctor
) -> None:
    (patient.folder / "samconfig.toml").write_text(
        '[default.deploy.parameters]\nstack_name = "ours"\n', encoding="utf-8"
    )
    patient.may_run(1_000, 100)
    doctor(StreamConcurrency="900").row("problem", "Lambda concurrency", "(no reservation)")
    patient.is_deployed("ours", 900)
    assert doctor(StreamConcurrency="900").status == 0
    assert doctor(StreamConcurrency="901").status == 1


def test_access_logs_need_the_accounts_role(patient: Patient, doctor: Doctor) -> None:
    doctor(ApiGatewayLogging="create").row("warning", "access logs", "api-gateway-logs", "existing")
    patient.has_role("")
    table = doctor()
    table.row("problem", "access logs", "has no role", "ApiGatewayLogging=create")
    assert table.status == 1
    assert doctor(ApiGatewayLogging="create").status == 0
    assert doctor(ApiGatewayLogging="none").status == 0


def test_the_role_that_the_stack_has_made_may_be_made_again(
    patient: Patient, doctor: Doctor
) -> None:
    (patient.folder / "samconfig.toml").write_text(
        '[default.global.parameters]\nstack_name = "ours"\n', encoding="utf-8"
    )
    patient.has_role(f"{ROLE}ours-ApiGatewayLoggingRole-1A2B")
    doctor(ApiGatewayLogging="create").row("ok", "access logs", "ours-ApiGatewayLoggingRole")


def test_an_issuer_is_named_to_the_letter(patient: Patient, doctor: Doctor) -> None:
    patient.discovery["issuer"] = f"{patient.issuer.url}/"
    table = doctor()
    table.row("problem", "issuer's name", f"Issuer={patient.issuer.url}/")
    assert table.status == 1


def test_keys_that_are_elsewhere_are_found_by_discovery(patient: Patient, doctor: Doctor) -> None:
    table = doctor(JwksUrl=f"{patient.issuer.url}/keys")
    table.row("problem", "issuer's keys", "HTTP status 404", f"JwksUrl={patient.issuer.jwks_url}")
    patient.discovery = {}
    table = doctor(JwksUrl=f"{patient.issuer.url}/keys")
    table.row("problem", "issuer's keys", "HTTP status 404", "spelt right")


def test_an_issuer_without_discovery_is_known_by_its_keys(patient: Patient, doctor: Doctor) -> None:
    patient.discovery = {}
    table = doctor()
    assert table.status == 0
    assert "issuer's name" not in table.text


def test_keys_that_verify_nothing_are_a_problem(patient: Patient, doctor: Doctor) -> None:
    document = json.dumps({**patient.issuer.document})
    doctor(Jwks=document).row("ok", "issuer's keys", "the parameter Jwks has 1")
    doctor(Jwks='{"keys": []}').row("problem", "issuer's keys", "no key that may verify a token")
    doctor(Jwks="{").row("problem", "issuer's keys", "is not JWKS JSON")
    patient.issuer.published = ()
    doctor().row("problem", "issuer's keys", "no key that may verify a token", "ES256")


def test_an_issuer_that_nobody_hears_is_a_problem_where_aws_answers(
    patient: Patient, doctor: Doctor
) -> None:
    nobody = "http://127.0.0.1:1"
    doctor(Issuer=nobody).row("problem", "issuer's keys", f"{nobody}/.well-known", "spelt right")


def test_what_may_not_be_asked_is_told_with_the_permission(
    patient: Patient, doctor: Doctor
) -> None:
    patient.plane.fail("bedrock.GetInferenceProfile", "AccessDeniedException")
    patient.plane.fail("bedrock.GetUseCaseForModelAccess", "AccessDeniedException")
    patient.plane.fail("lambda.GetAccountSettings", "AccessDeniedException")
    table = doctor()
    assert table.status == 0
    table.row("not looked at", "model", DEFAULT, "Allow bedrock:GetInferenceProfile")
    table.row("not looked at", "Anthropic's form", "bedrock:GetUseCaseForModelAccess")
    table.row("not looked at", "Lambda concurrency", "lambda:GetAccountSettings")


def test_a_home_region_without_the_model_is_told(patient: Patient, doctor: Doctor) -> None:
    patient.plane.fail("bedrock.GetFoundationModel", "ResourceNotFoundException")
    table = doctor()
    assert table.status == 0
    table.row("not looked at", "model life cycle", f"eu-west-1 itself does not have {SONNET}")


def test_parameters_come_from_samconfig_and_the_commands_win(
    patient: Patient, doctor: Doctor
) -> None:
    (patient.folder / "more.yaml").write_text("CorsOrigins: [https://a.example]\n", "utf-8")
    (patient.folder / "samconfig.toml").write_text(
        '[default.deploy.parameters]\nparameter_overrides = "Model=\\"demo\\" LogRetentionDays=8"\n'
        '[prod.deploy.parameters]\nregion = "eu-north-1"\n'
        'parameter_overrides = ["Model=demo", "file://more.yaml"]\n',
        encoding="utf-8",
    )
    table = doctor()
    table.row("problem", "parameters", "LogRetentionDays=8: must be one of 1, 3")
    table.row("ok", "agents", "models: demo")
    assert doctor(LogRetentionDays="7").status == 0
    table = doctor("--config-env", "prod")
    table.row("ok", "region and identity", "eu-north-1")
    table.row("ok", "parameters", "4 given")


def test_a_parameter_that_is_misspelt_or_missing_is_told(
    patient: Patient, doctor: Doctor, capsys: pytest.CaptureFixture[str]
) -> None:
    doctor(Isuer="x").row("problem", "parameters", "the template has no Isuer")
    assert main(["doctor", "--template", str(patient.template)]) == 0
    table = Table(0, capsys.readouterr().out)
    table.row("not looked at", "parameters", "Issuer, Audience")
    table.row("not looked at", "issuer's keys", "Issuer has no value yet")


@pytest.mark.parametrize(
    ("returned", "verdict", "said"),
    [
        ("'/opt/python3.13'", "ok", "/opt/python3.13 compiles the sources"),
        ("None", "warning", "two seconds longer"),
        ("1 / 0", "not looked at", "could not be asked: exit status 1"),
    ],
)
def test_the_build_is_asked_for_its_python(
    patient: Patient, doctor: Doctor, returned: str, verdict: str, said: str
) -> None:
    build = patient.folder / "layers/build.py"
    build.write_text(f"def runtime_python():\n    return {returned}\n", encoding="utf-8")
    table = doctor()
    assert table.status == 0
    table.row(verdict, "Python 3.13", said)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("[default", "is not TOML"), ("version = 0.1", "has no environment 'prod'; there is none")],
)
def test_a_samconfig_that_does_not_do_is_one_line(
    patient: Patient, capsys: pytest.CaptureFixture[str], text: str, complaint: str
) -> None:
    (patient.folder / "samconfig.toml").write_text(text, encoding="utf-8")
    options = ["--template", str(patient.template), "--config-env", "prod"]
    assert main(["doctor", *options]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line
