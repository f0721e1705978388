"""What the doctor says of models."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.doctor.patients import DEFAULT, SONNET, Doctor, Patient

SOON = datetime.now(UTC) + timedelta(days=30)


def test_a_model_that_ends_is_a_warning_and_one_that_has_ended_a_problem(
    patient: Patient, doctor: Doctor
) -> None:
    life = {"status": "LEGACY", "endOfLifeTime": SOON.isoformat()}
    patient.has_model(SONNET, modelLifecycle=life)
    table = doctor()
    table.check("warning", "model life cycle", "LEGACY", f"ends on {SOON:%Y-%m-%d}", "successor")
    assert table.status == 0
    patient.has_model(SONNET, modelLifecycle={**life, "endOfLifeTime": "2026-01-01T00:00:00Z"})
    table = doctor()
    table.check("problem", "model life cycle", "ended on 2026-01-01", "every run of it fails")
    assert table.status == 1


def test_an_active_model_whose_end_is_near_is_a_warning(patient: Patient, doctor: Doctor) -> None:
    near, far = SOON.isoformat(), (SOON + timedelta(days=365)).isoformat()
    patient.has_model(SONNET, modelLifecycle={"status": "ACTIVE", "endOfLifeTime": near})
    doctor().check("warning", "model life cycle", f"ends on {SOON:%Y-%m-%d}")
    patient.has_model(SONNET, modelLifecycle={"status": "ACTIVE", "endOfLifeTime": far})
    doctor().check("ok", "model life cycle", "ACTIVE")


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
    table.check(verdict, "model access", said, remedy)
    assert table.status == (verdict == "problem")


def test_a_form_that_was_not_sent_is_a_problem_where_models_are_locked(
    patient: Patient, doctor: Doctor
) -> None:
    patient.plane.fail("bedrock.GetUseCaseForModelAccess", "ResourceNotFoundException")
    doctor().check("warning", "Anthropic's form", "though its models may be called")
    patient.is_available(SONNET, "NOT_AVAILABLE")
    doctor().check("problem", "Anthropic's form", "use case details", "Model catalog")


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
    table.check("ok", "model access", f"{nova}: may be called")
    table.check("not looked at", "model regions", f"eu.{haiku}", "eu-central-1, eu-west-3")
    assert sum("GetInferenceProfile" in line for line in patient.plane.asked) == 2


def test_a_model_that_only_a_profile_can_call_is_a_problem(
    patient: Patient, doctor: Doctor
) -> None:
    table = doctor(Model=f"bedrock:{SONNET}")
    table.check("problem", "model access", "cannot be called by its own name", f"global.{SONNET}")
    assert table.status == 1


@pytest.mark.parametrize("missing", ["eu.anthropic.no-such", "anthropic.no-such"])
def test_a_model_that_does_not_exist_is_a_problem(doctor: Doctor, missing: str) -> None:
    table = doctor(Model=f"bedrock:{missing}")
    table.check("problem", "model", f"{missing}: there is no such model", "eu-west-1")


def test_a_profile_may_be_named_by_its_arn(patient: Patient, doctor: Doctor) -> None:
    arn = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/a1b2c3d4e5f6"
    patient.has_profile(arn, SONNET, ["eu-west-1"])
    table = doctor(Model=f"bedrock:{arn}")
    table.check("ok", "model access", arn)
    table.check("not looked at", "model regions", "answers from eu-west-1")
    table.check("ok", "Anthropic's form", "has been sent")


def test_other_providers_need_their_layer_and_a_key(patient: Patient, doctor: Doctor) -> None:
    patient.has_agent("model: openai:gpt-5")
    doctor().check("problem", "model", "openai:gpt-5: no layer", "OtherProviders=true")
    doctor(OtherProviders="true").check("warning", "model", "SecretsArn is empty")
    secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:keys-a1b2c3"
    table = doctor(OtherProviders="true", SecretsArn=secret)
    table.check("not looked at", "model", "openai:gpt-5: its provider is not asked")


def test_a_broken_agents_file_is_a_problem(patient: Patient, doctor: Doctor) -> None:
    patient.has_agent("modle: demo")
    table = doctor()
    table.check("problem", "agents", "one.yaml:3: modle")
    assert table.status == 1


def test_a_home_region_without_the_model_is_told(patient: Patient, doctor: Doctor) -> None:
    patient.plane.fail("bedrock.GetFoundationModel", "ResourceNotFoundException")
    table = doctor()
    assert table.status == 0
    table.check("not looked at", "model life cycle", f"eu-west-1 itself does not have {SONNET}")


def test_an_agent_behind_an_endpoint_needs_its_key_and_no_providers_client(
    patient: Patient, doctor: Doctor
) -> None:
    patient.has_agent("endpoint: {openai: 'https://a.example/v1', model: m, secret: REMOTE_KEY}")
    table = doctor()
    assert table.status == 0, table.text
    assert "endpoint:m" not in table.text
    table.check("warning", "endpoint", "one: SecretsArn is empty", "REMOTE_KEY", "docs/deploy.md")
    text = patient.template.read_text(encoding="utf-8")
    variables = "      Variables:\n"
    assert variables in text
    patient.template.write_text(text.replace(variables, f"{variables}        REMOTE_KEY: k\n", 1))
    doctor().check("not looked at", "endpoint", "one: its service is not asked")
