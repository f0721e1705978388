"""Accounts to look at, and the table that the command prints of them."""

import json
import shutil
from pathlib import Path
from typing import Any

import boto3
import pytest

from agentrun_local.cli import main
from tests.documented import ROOT
from tests.http_server import send
from tests.integration.doctor.control_plane import ControlPlane
from tests.issuer_server import PATH, Issuer

SONNET = "anthropic.claude-sonnet-5-5"
DEFAULT = f"global.{SONNET}"
ROLE = "arn:aws:iam::123456789012:role/"
NAMED = {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "ours-stream"}}
STACK = {"Resources": {"StreamFunction": NAMED}}
"""Anything that has a name: moto takes no function without its code and role."""


class Patient:
    """An account, its issuer, and a copy of the project's template to deploy."""

    def __init__(self, plane: ControlPlane, issuer: Issuer, folder: Path) -> None:
        self.plane, self.issuer, self.folder = plane, issuer, folder
        self.template = folder / "template.yaml"
        shutil.copy(ROOT / "template.yaml", self.template)
        self.agents = folder / "layers/agents/agents"
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
            inferenceProfileName="A profile",
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


class Table:
    """The command's exit status and what it printed."""

    def __init__(self, status: int, text: str) -> None:
        self.status, self.text = status, text
        self.flat = " ".join(text.split())

    def check(self, verdict: str, check: str, *said: str) -> None:
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
