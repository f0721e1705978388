"""Log records as Lambda's logging configuration wants them."""

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from lambda_asgi.context import request_id
from lambda_asgi.logs import JsonFormatter, configure_logging


@pytest.fixture(autouse=True)
def _root_logger_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def _json(record: logging.LogRecord) -> dict[str, object]:
    line = JsonFormatter().format(record)
    assert "\n" not in line
    fields: dict[str, object] = json.loads(line)
    return fields


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("INFO", logging.INFO),
        ("trace", logging.DEBUG),
        ("FATAL", logging.CRITICAL),
        ("", logging.WARNING),
        ("LOUD", logging.WARNING),
    ],
)
def test_the_level_is_the_functions(name: str, level: int) -> None:
    logging.getLogger().setLevel(logging.WARNING)
    configure_logging({"AWS_LAMBDA_LOG_LEVEL": name})
    assert logging.getLogger().level == level


def test_the_format_is_the_functions_and_names_the_request(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logging.getLogger().handlers.clear()
    configure_logging({"AWS_LAMBDA_LOG_FORMAT": "json"})
    token = request_id.set("r1")
    logging.getLogger("x").error("said %s", "so")
    request_id.reset(token)
    logged = json.loads(capsys.readouterr().out)
    assert (logged["level"], logged["message"], logged["requestId"]) == ("ERROR", "said so", "r1")


def test_an_exception_is_part_of_its_record() -> None:
    try:
        raise ValueError("what")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "p", 1, "m", (), sys.exc_info())
    fields = _json(record)
    assert (fields["errorType"], fields["errorMessage"]) == ("ValueError", "what")
    assert "raise ValueError" in str(fields["stackTrace"])


def test_extra_fields_stand_beside_the_others_and_replace_none() -> None:
    record = logging.LogRecord("x", logging.INFO, "p", 1, "m", (), None)
    record.runId = object
    record.level = "mine"
    fields = _json(record)
    assert fields["runId"] == "<class 'object'>"
    assert fields["level"] == "INFO"
    assert set(fields) == {"timestamp", "level", "message", "logger", "runId"}
