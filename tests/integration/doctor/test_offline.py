"""What `agentrun doctor` says where it can ask nobody."""

from pathlib import Path

import pytest

from agentrun_local.cli import main
from tests.documented import ROOT

TEMPLATE = ["--template", str(ROOT / "template.yaml")]
NOBODY = "http://127.0.0.1:1"
AWS_CHECKS = ("model", "Anthropic's form", "Lambda concurrency", "access logs")


def examined(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """Return the table, with single spaces; there is no problem in it."""
    assert main(["doctor", *TEMPLATE, *options]) == 0
    return " ".join(capsys.readouterr().out.split())


@pytest.fixture
def signed_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    return monkeypatch


def test_without_credentials_it_says_what_it_could_not_look_at(
    signed_out: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = examined(capsys)
    assert "not looked at region and identity there are no AWS credentials" in table
    for check in AWS_CHECKS:
        assert f"not looked at {check} " in table
    assert table.count("aws sso login") == 1


def test_without_a_region_it_says_so(
    signed_out: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        signed_out.delenv(name)
    assert "region and identity no AWS region is set -> Give --region" in examined(capsys)


def test_a_profile_that_does_not_exist_is_told(
    signed_out: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = examined(capsys, "--profile", "nobody")
    assert "the AWS profile that is asked for does not exist" in table


def test_without_a_network_nothing_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOBODY)
    table = examined(capsys, "--parameter", f"Issuer={NOBODY}")
    assert "sts:GetCallerIdentity could not be reached (EndpointConnectionError)" in table
    assert "not looked at issuer's keys http://127.0.0.1:1/.well-known/jwks.json" in table
    assert "0 problems, " in table
