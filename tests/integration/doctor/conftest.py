"""One account in which all is well, for a test to change."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from moto import mock_aws

from tests.integration.doctor.control_plane import running_control_plane
from tests.integration.doctor.patients import ROLE, Doctor, Patient
from tests.issuer_server import running_issuer


@pytest.fixture
def patient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Patient]:
    with running_control_plane() as plane, running_issuer() as issuer, mock_aws():
        for name, value in plane.environment.items():
            monkeypatch.setenv(name, value)
        found = Patient(plane, issuer, tmp_path)
        found.has_role(f"{ROLE}api-gateway-logs")
        yield found


@pytest.fixture
def doctor(patient: Patient, capsys: pytest.CaptureFixture[str]) -> Doctor:
    return Doctor(patient, capsys)
