"""What the doctor says of a token and of secrets."""

import boto3
import pytest

from tests.integration.doctor.patients import Doctor, Patient

TOKEN = "AGENTRUN_TOKEN"


def test_a_token_is_taken_or_refused_as_the_authorizer_would(
    patient: Patient, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = {"sub": "ana", "aud": "agentrun", "org_id": "acme"}
    monkeypatch.setenv(TOKEN, patient.issuer.token("k1", **claims, scope="runs:read runs:write"))
    table = doctor(Audience="agentrun")
    table.check("ok", "a token", "user 'ana' of 'acme'")
    assert patient.issuer.token("k1", **claims)[:20] not in table.text
    monkeypatch.setenv(TOKEN, patient.issuer.token("k1", **claims, scope="runs:read"))
    doctor(Audience="agentrun").check("warning", "a token", "without runs:write", "ScopePrefix")
    table = doctor(Audience="another")
    table.check("problem", "a token", "it is refused", "Issuers")
    assert table.status == 1
    monkeypatch.delenv(TOKEN)
    doctor(Audience="agentrun").check("not looked at", "a token", f"Set {TOKEN}")


@pytest.mark.parametrize("parameter", ["SecretsArn", "WebhookSecretArn"])
def test_a_secret_that_is_not_there_is_a_problem(
    patient: Patient, doctor: Doctor, parameter: str
) -> None:
    secrets = boto3.client("secretsmanager")
    arn = secrets.create_secret(Name="agentrun/keys", SecretString="hidden")["ARN"]
    table = doctor(**{parameter: arn})
    table.check("ok", parameter, "agentrun/keys is there")
    assert "hidden" not in table.text
    secrets.delete_secret(SecretId=arn)
    doctor(**{parameter: arn}).check("problem", parameter, "is to be deleted", "Restore it")
    secrets.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)
    doctor(**{parameter: arn}).check("problem", parameter, "there is no secret", "Create it")
