"""What the doctor says of an account and its limits."""

from tests.integration.doctor.patients import DEFAULT, ROLE, Doctor, Patient


def test_an_account_in_which_all_is_well_has_no_problem(patient: Patient, doctor: Doctor) -> None:
    table = doctor()
    assert table.status == 0, table.text
    assert table.text.splitlines()[-1].startswith("0 problems, ")
    table.check("ok", "region and identity", "eu-west-1, account 123456789012")
    table.check("ok", "parameters", "2 given")
    table.check("ok", "model access", DEFAULT)
    table.check("ok", "model life cycle", "ACTIVE")
    table.check("not looked at", "model regions", "any commercial region", "'unspecified'")
    table.check("ok", "Anthropic's form", "has been sent")
    table.check("ok", "Lambda concurrency", "1000 invocations at once")
    table.check("ok", "access logs", f"{ROLE}api-gateway-logs")
    table.check("ok", "issuer's name", patient.issuer.url)
    table.check("ok", "issuer's keys", "has 1 that may verify tokens")


def test_nothing_is_changed_and_no_secret_is_shown(patient: Patient, doctor: Doctor) -> None:
    table = doctor()
    assert {line.split()[0] for line in patient.plane.asked} == {"GET"}
    for secret in ("company secret", "Y29tcGFueSBzZWNyZXQ=", "AWS_SECRET_ACCESS_KEY"):
        assert secret not in table.flat


def test_a_new_accounts_few_invocations_are_a_warning(patient: Patient, doctor: Doctor) -> None:
    patient.may_run(10, 10)
    table = doctor()
    table.check("warning", "Lambda concurrency", "10 invocations at once", "L-B99A9384")
    table.check("warning", "Lambda concurrency", "WorkerConcurrency=10 may", "WorkerConcurrency=5")
    assert table.status == 0


def test_a_reservation_has_to_leave_100(patient: Patient, doctor: Doctor) -> None:
    patient.may_run(1_000, 900)
    assert doctor(StreamConcurrency="800").status == 0
    table = doctor(StreamConcurrency="801")
    table.check("problem", "Lambda concurrency", "StreamConcurrency=801", "StreamConcurrency=800")
    assert table.status == 1


def test_what_the_stack_itself_has_reserved_is_free_for_it(
    patient: Patient, doctor: Doctor
) -> None:
    (patient.folder / "samconfig.toml").write_text(
        '[default.deploy.parameters]\nstack_name = "ours"\n', encoding="utf-8"
    )
    patient.may_run(1_000, 100)
    doctor(StreamConcurrency="900").check("problem", "Lambda concurrency", "(no reservation)")
    patient.is_deployed("ours", 900)
    assert doctor(StreamConcurrency="900").status == 0
    assert doctor(StreamConcurrency="901").status == 1


def test_access_logs_need_the_accounts_role(patient: Patient, doctor: Doctor) -> None:
    doctor(ApiGatewayLogging="create").check(
        "warning", "access logs", "api-gateway-logs", "existing"
    )
    patient.has_role("")
    table = doctor()
    table.check("problem", "access logs", "has no role", "ApiGatewayLogging=create")
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
    doctor(ApiGatewayLogging="create").check("ok", "access logs", "ours-ApiGatewayLoggingRole")


def test_what_may_not_be_asked_is_told_with_the_permission(
    patient: Patient, doctor: Doctor
) -> None:
    patient.plane.fail("bedrock.GetInferenceProfile", "AccessDeniedException")
    patient.plane.fail("bedrock.GetUseCaseForModelAccess", "AccessDeniedException")
    patient.plane.fail("lambda.GetAccountSettings", "AccessDeniedException")
    table = doctor()
    assert table.status == 0
    table.check("not looked at", "model", DEFAULT, "Allow bedrock:GetInferenceProfile")
    table.check("not looked at", "Anthropic's form", "bedrock:GetUseCaseForModelAccess")
    table.check("not looked at", "Lambda concurrency", "lambda:GetAccountSettings")
