"""
The head of a streamed HTTP response: JSON, eight NUL bytes, then the body.

https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode-lambda.html
"""

import json
from dataclasses import dataclass
from typing import Any

CONTENT_TYPE = "application/vnd.awslambda.http-integration-response"
DELIMITER = b"\0" * 8
MAX_BYTES = 16 * 1024
"""Within so many bytes API Gateway wants to see the delimiter."""


class MalformedAnswerError(Exception):
    """The function's answer is not in the form that the door expects."""


@dataclass(frozen=True)
class Prelude:
    """Status and headers of a response; a name may stand several times."""

    status: int
    headers: tuple[tuple[str, str], ...]


class PreludeParser:
    """Finds the prelude in bytes that come in any pieces."""

    def __init__(self) -> None:
        self._seen = b""

    def feed(self, data: bytes) -> tuple[Prelude, bytes] | None:
        """
        Take the next bytes; not to be called again once it has given an answer.

        Returns:
            The prelude and the first bytes of the body, which may be empty; None: not yet.

        Raises:
            MalformedAnswerError: No delimiter where it must be, or no prelude before it.
        """
        self._seen += data
        end = self._seen.find(DELIMITER)
        if end < 0 and len(self._seen) < MAX_BYTES:
            return None
        if end < 0 or end + len(DELIMITER) > MAX_BYTES:
            raise MalformedAnswerError("No prelude and delimiter within the first 16 KB.")
        try:
            document = json.loads(self._seen[:end])
        except ValueError as error:
            raise MalformedAnswerError("The prelude is not JSON.") from error
        return read_head(document), self._seen[end + len(DELIMITER) :]


def read_head(document: Any) -> Prelude:
    """
    Read `statusCode`, `headers`, `multiValueHeaders` and `cookies` of a function's answer.

    Raises:
        MalformedAnswerError: They are not of the documented types.
    """
    if not isinstance(document, dict):
        raise MalformedAnswerError("The answer is not a JSON object.")
    status = document.get("statusCode", 200)
    if isinstance(status, str) and status.isdigit():
        status = int(status)
    if not isinstance(status, int) or not 100 <= status <= 599:
        raise MalformedAnswerError(f"statusCode is {status!r}.")
    # null stands for none of them.
    given = {name: value for name, value in document.items() if value is not None}
    several = given.get("multiValueHeaders", {})
    single = given.get("headers", {})
    cookies = given.get("cookies", [])
    if not (isinstance(several, dict) and isinstance(single, dict) and isinstance(cookies, list)):
        raise MalformedAnswerError("headers, multiValueHeaders or cookies have the wrong type.")
    names = {name.lower() for name in several}
    headers = [(name, value) for name, value in single.items() if name.lower() not in names]
    headers += [(name, value) for name, values in several.items() for value in values]
    headers += [("set-cookie", value) for value in cookies]
    if any(isinstance(value, dict | list) for _, value in headers):
        raise MalformedAnswerError("A header's value is not a string.")
    return Prelude(status, tuple((name, _text(value)) for name, value in headers))


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
