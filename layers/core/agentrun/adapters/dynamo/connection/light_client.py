"""A DynamoDB client of botocore's that costs half the processor time: settings, hooks, parts."""

import hmac
import json
import os
import platform
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

import botocore
from botocore.auth import AUTH_TYPE_MAPS, SigV4Auth
from botocore.httpsession import URLLib3Session
from botocore.loaders import JSONFileLoader, Loader
from botocore.serialize import JSONSerializer
from botocore.session import Session
from botocore.utils import get_environ_proxies

from agentrun.adapters.dynamo.connection.http_session import LightSession

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
    Let a client send over a `LightSession`, and write and read items without its model.

    It is to be asked for one table: what its endpoint is gets decided once for each operation. A
    client with a proxy or a certificate of its own keeps botocore's session.
    """
    events: Any = client.meta.events
    for operation in _READING:
        events.register(f"before-parse.dynamodb.{operation}", _parse)
    if AUTH_TYPE_MAPS["v4"] is SigV4Auth:
        AUTH_TYPE_MAPS[_QuickSigner.NAME] = _QuickSigner
        events.register("choose-signer.dynamodb", _choose_signer)
    parts: Any = client
    if type(parts._serializer) is JSONSerializer:  # noqa: SLF001
        parts._serializer = _Serializer()  # noqa: SLF001
    if parts._ruleset_resolver is not None:  # noqa: SLF001
        parts._ruleset_resolver = _Endpoints(parts._ruleset_resolver)  # noqa: SLF001
    # botocore has no setting for it. A before-send hook would not do: botocore calls all of them,
    # so a request that another hook had answered would be sent nevertheless.
    endpoint: Any = client._endpoint  # type: ignore[attr-defined] # noqa: SLF001
    config: Any = client.meta.config
    url = client.meta.endpoint_url
    proxies = config.proxies or get_environ_proxies(url)
    is_plain = type(endpoint.http_session) is URLLib3Session and not config.client_cert
    if is_plain and urlsplit(url).scheme not in proxies:
        endpoint.http_session = LightSession(endpoint.http_session, config)


class _QuickSigner(SigV4Auth):
    """botocore's signer, one for each request, without what it does twice or for every one."""

    NAME = "agentrun-v4"
    _signed: Any = None

    def headers_to_sign(self, request: Any) -> Any:
        """Return the headers, which stay the same between both times that botocore asks."""
        if self._signed is None:
            self._signed = super().headers_to_sign(request)
        return self._signed

    def signature(self, string_to_sign: str, request: Any) -> str:
        """Sign with the key of the day."""
        scope = self.credential_scope(request)
        key = _signing_key(self.credentials.secret_key, scope)
        return hmac.digest(key, string_to_sign.encode(), "sha256").hex()


@lru_cache(maxsize=2)
def _signing_key(secret: str, scope: str) -> bytes:
    """Derive the key ("Create a signed AWS API request" in the IAM user guide, step 4)."""
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _choose_signer(signature_version: object, **_: object) -> str | None:
    return _QuickSigner.NAME if signature_version == "v4" else None


class _Serializer(JSONSerializer):
    """Writes requests that are DynamoDB's JSON already, but for their bytes."""

    def serialize_to_request(self, parameters: Any, operation_model: Any) -> dict[str, Any]:
        """Return the request of an operation."""
        version, prefix = (operation_model.metadata[n] for n in ("jsonVersion", "targetPrefix"))
        given = {name: value for name, value in parameters.items() if value is not None}
        return {
            "url_path": "/",
            "query_string": "",
            "method": "POST",
            "headers": {
                "X-Amz-Target": f"{prefix}.{operation_model.name}",
                "Content-Type": f"application/x-amz-json-{version}",
            },
            "body": json.dumps(given, default=_encoded).encode(),
        }


def _encoded(value: object) -> object:
    if isinstance(value, bytes | bytearray):
        return b64encode(value).decode()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no value of DynamoDB's")


class _Endpoints:
    """The endpoints of a client, by operation; everything else is the resolver's."""

    def __init__(self, resolver: Any) -> None:
        self._resolver = resolver
        self._found: dict[str, Any] = {}

    def construct_endpoint(self, operation_model: Any, call_args: Any, request_context: Any) -> Any:
        """Resolve an operation's endpoint the first time, as botocore does every time."""
        found = self._found.get(operation_model.name)
        if found is None:
            found = self._resolver.construct_endpoint(
                operation_model=operation_model,
                call_args=call_args,
                request_context=request_context,
            )
            self._found[operation_model.name] = found
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._resolver, name)


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
