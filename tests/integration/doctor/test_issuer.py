"""What the doctor says of issuers."""

import json

from tests.integration.doctor.patients import Doctor, Patient


def test_an_issuer_is_named_to_the_letter(patient: Patient, doctor: Doctor) -> None:
    patient.discovery["issuer"] = f"{patient.issuer.url}/"
    table = doctor()
    table.check("problem", "issuer's name", f"Issuer={patient.issuer.url}/")
    assert table.status == 1


def test_keys_that_are_elsewhere_are_found_by_discovery(patient: Patient, doctor: Doctor) -> None:
    table = doctor(JwksUrl=f"{patient.issuer.url}/keys")
    table.check("problem", "issuer's keys", "HTTP status 404", f"JwksUrl={patient.issuer.jwks_url}")
    patient.discovery = {}
    table = doctor(JwksUrl=f"{patient.issuer.url}/keys")
    table.check("problem", "issuer's keys", "HTTP status 404", "spelt right")


def test_an_issuer_without_discovery_is_known_by_its_keys(patient: Patient, doctor: Doctor) -> None:
    patient.discovery = {}
    table = doctor()
    assert table.status == 0
    assert "issuer's name" not in table.text


def test_keys_that_verify_nothing_are_a_problem(patient: Patient, doctor: Doctor) -> None:
    document = json.dumps({**patient.issuer.document})
    doctor(Jwks=document).check("ok", "issuer's keys", "the parameter Jwks has 1")
    doctor(Jwks='{"keys": []}').check("problem", "issuer's keys", "no key that may verify a token")
    doctor(Jwks="{").check("problem", "issuer's keys", "is not JWKS JSON")
    patient.issuer.published = ()
    doctor().check("problem", "issuer's keys", "no key that may verify a token", "ES256")


def test_an_issuer_that_nobody_hears_is_a_problem_where_aws_answers(
    patient: Patient, doctor: Doctor
) -> None:
    nobody = "http://127.0.0.1:1"
    doctor(Issuer=nobody).check("problem", "issuer's keys", f"{nobody}/.well-known", "spelt right")
