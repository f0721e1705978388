"""Errors in the form that Lambda takes."""

import base64
import json

import pytest

from lambda_asgi.errors import ErrorReport, InitError


def _raised(error: Exception) -> Exception:
    try:
        raise error
    except type(error) as exc:
        return exc


def test_a_report_names_type_message_and_frames() -> None:
    report = json.loads(ErrorReport.of(_raised(ValueError("what"))).to_json())
    assert (report["errorType"], report["errorMessage"]) == ("ValueError", "what")
    assert "in _raised" in report["stackTrace"][0]


def test_an_init_error_keeps_lambdas_own_type() -> None:
    assert ErrorReport.of(InitError("Runtime.X", "m")).error_type == "Runtime.X"


def test_a_category_replaces_the_type_in_headers_only() -> None:
    report = ErrorReport.of(ValueError("m"), "Runtime.AfterRestoreError")
    assert report.header_type == "Runtime.AfterRestoreError"
    assert json.loads(report.to_json())["errorType"] == "ValueError"


def test_a_type_that_is_not_ascii_fits_a_header() -> None:
    assert ErrorReport("Größe", "m").header_type == "Gr??e"


@pytest.mark.parametrize("message", ["short", "x" * 100_000, "\x00\U0001f600é" * 10_000])
@pytest.mark.parametrize("frames", [(), ("frame\n" * 20,) * 100])
def test_trailers_fit_the_buffer_of_a_go_server(message: str, frames: tuple[str, ...]) -> None:
    trailers = ErrorReport("E" * 300, message, frames).trailers()
    encoded = b"".join(f"{name}: {value}\r\n".encode() for name, value in trailers)
    assert len(encoded) + len(b"0\r\n\r\n") < 4096
    assert json.loads(base64.b64decode(trailers[1][1]))["errorMessage"].startswith(message[:100])


def test_the_innermost_frames_are_kept() -> None:
    frames = tuple(f"frame {n} " + "x" * 100 for n in range(100))
    body = base64.b64decode(ErrorReport("E", "m", frames).trailers()[1][1])
    kept = json.loads(body)["stackTrace"]
    assert 10 < len(kept) < 100
    assert kept[-1] == frames[-1]
