"""Log records on standard output, in the form that Lambda's logging configuration asks for."""

import json
import logging
import sys
import time
import traceback
from collections.abc import Mapping

from lambda_asgi.context import request_id

_TEXT = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"

_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {
    "aws_request_id",
    "asctime",
    "message",
}


def configure_logging(environ: Mapping[str, str]) -> None:
    """
    Send the root logger's records to standard output, each with its request id.

    Args:
        environ: AWS_LAMBDA_LOG_FORMAT (`JSON`: one object per line; anything else: text) and
            AWS_LAMBDA_LOG_LEVEL, which Lambda sets from the function's logging configuration.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(_add_request_id)
    if environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON":
        handler.setFormatter(JsonFormatter())
    else:
        formatter = logging.Formatter(_TEXT, "%Y-%m-%dT%H:%M:%S")
        formatter.converter = time.gmtime
        handler.setFormatter(formatter)
    root = logging.getLogger()
    root.addHandler(handler)
    level = environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    # Lambda's names for both ends of the scale differ from Python's.
    level = {"TRACE": "DEBUG", "FATAL": "CRITICAL"}.get(level, level)
    if level in logging.getLevelNamesMapping():
        root.setLevel(level)


def _add_request_id(record: logging.LogRecord) -> bool:
    record.aws_request_id = request_id.get() or ""
    return True


class JsonFormatter(logging.Formatter):
    """One JSON object per record, with the managed runtime's keys and the `extra` fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object on one line; values that are not JSON become their `str`."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields: dict[str, object] = {
            "timestamp": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
            "requestId": vars(record).get("aws_request_id") or None,
        }
        if record.exc_info and record.exc_info[0] is not None:
            fields["errorType"] = record.exc_info[0].__name__
            fields["errorMessage"] = str(record.exc_info[1])
            fields["stackTrace"] = traceback.format_tb(record.exc_info[2])
        fields.update(
            (key, value)
            for key, value in vars(record).items()
            if key not in _STANDARD_FIELDS and key not in fields
        )
        return json.dumps({k: v for k, v in fields.items() if v is not None}, default=str)
