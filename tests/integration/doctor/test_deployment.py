"""What the doctor says of what is to be deployed, and with what."""

import pytest

from agentrun_local.cli import main
from agentrun_local.doctor import command
from tests.integration.doctor.patients import Doctor, Patient, Table


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
    table.check("problem", "parameters", "LogRetentionDays=8: must be one of 1, 3")
    table.check("ok", "agents", "models: demo")
    assert doctor(LogRetentionDays="7").status == 0
    table = doctor("--config-env", "prod")
    table.check("ok", "region and identity", "eu-north-1")
    table.check("ok", "parameters", "4 given")


def test_a_parameter_that_is_misspelt_or_missing_is_told(
    patient: Patient, doctor: Doctor, capsys: pytest.CaptureFixture[str]
) -> None:
    doctor(Isuer="x").check("problem", "parameters", "the template has no Isuer")
    assert main(["doctor", "--template", str(patient.template)]) == 0
    table = Table(0, capsys.readouterr().out)
    table.check("not looked at", "parameters", "Issuer, Audience")
    table.check("not looked at", "issuer's keys", "Issuer has no value yet")


@pytest.mark.parametrize(
    ("found", "verdict", "said"),
    [
        ("/opt/python3.13", "ok", "/opt/python3.13 compiles the sources"),
        (None, "warning", "two seconds longer"),
    ],
)
def test_the_build_is_asked_for_its_python(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, found: str | None, verdict: str, said: str
) -> None:
    monkeypatch.setattr(command, "runtime_python", lambda: found)
    table = doctor()
    assert table.status == 0
    table.check(verdict, "Python 3.13", said)


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
