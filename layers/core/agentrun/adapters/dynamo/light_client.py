"""A DynamoDB client of botocore's that costs half the processor time: settings and hooks."""

import json
import os
import platform
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

import botocore
from botocore.httpsession import URLLib3Session
from botocore.loaders import JSONFileLoader, Loader
from botocore.session import Session
from botocore.utils import get_environ_proxies

from agentrun.adapters.dynamo.http_session import LightSession

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_READING = ("GetItem", "BatchGetItem", "Query")


class _PlainFiles(JSONFileLoader):
    """Reads botocore's files into plain dictionaries: twice as fast as its ordered ones."""

    def _load_file(self, full_path: str, open_method: Callable[..., IO[bytes]]) -> Any:
        if not Path(full_path).is_file():
            return None
        with open_method(full_path, "rb") as file:
            return json.load(file)


def light_session() -> Session:
    """
    Return a session that makes clients faster.

    It is botocore's: boto3's import and session are a twentieth of a cold start, and add nothing.
    """
    session = Session()
    session.register_component("data_loader", Loader(file_loader=_PlainFiles()))
    return session


def user_agent() -> str:
    """
    Return the User-Agent, for botocore's setting `user_agent`.

    Without the setting botocore builds it anew for every request, and twice.
    """
    parts = [f"Botocore/{botocore.__version__}", f"lang/python#{platform.python_version()}"]
    if environment := os.environ.get("AWS_EXECUTION_ENV"):
        parts.append(f"exec-env/{environment}")
    if app := os.environ.get("AWS_SDK_UA_APP_ID"):
        parts.append(f"app/{app}")
    return " ".join(parts)


def lighten(client: "DynamoDBClient") -> None:
    """
    Let a client send over a `LightSession` and read items without its model.

    A client with a proxy or a certificate of its own keeps botocore's session.
    """
    events: Any = client.meta.events
    for operation in _READING:
        events.register(f"before-parse.dynamodb.{operation}", _parse)
    # botocore has no setting for it. A before-send hook would not do: botocore calls all of them,
    # so a request that another hook had answered would be sent nevertheless.
    endpoint: Any = client._endpoint  # type: ignore[attr-defined] # noqa: SLF001
    config: Any = client.meta.config
    url = client.meta.endpoint_url
    proxies = config.proxies or get_environ_proxies(url)
    is_plain = type(endpoint.http_session) is URLLib3Session and not config.client_cert
    if is_plain and urlsplit(url).scheme not in proxies:
        endpoint.http_session = LightSession(endpoint.http_session, config)


def _parse(
    operation_model: Any,
    response_dict: dict[str, Any],
    customized_response_dict: dict[str, Any],
    **_: object,
) -> None:
    """Parse an answer for botocore, whose parser looks for ten types in each value."""
    if response_dict["status_code"] != 200:
        return
    try:
        answer = json.loads(response_dict["body"], object_hook=_decoded)
    except ValueError:
        # Left to botocore, whose retries compare the checksum.
        return
    if isinstance(answer, dict):
        known = operation_model.output_shape.members
        customized_response_dict.update(
            {name: value for name, value in answer.items() if name in known and value is not None}
        )
        response_dict["body"] = b"{}"


def _decoded(value: dict[str, Any]) -> dict[str, Any]:
    """Decode the binary attributes. An attribute that is called "B" holds an object, no text."""
    if type(text := value.get("B")) is str:
        value["B"] = b64decode(text)
    elif type(texts := value.get("BS")) is list:
        value["BS"] = [b64decode(each) for each in texts]
    return value
