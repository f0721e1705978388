"""Requests that may be sent twice: which ones are the same."""

import hashlib
import json
from base64 import urlsafe_b64encode

from pydantic import JsonValue

from agentrun.domain.model import Model


class IdempotencyClaim(Model):
    """
    What a caller's Idempotency-Key stands for.

    `key_hash` names the user and the key, `fingerprint` the agent and the body: the same key with
    another fingerprint is a mistake of the caller's.
    """

    key_hash: str
    fingerprint: str


def idempotency_claim(
    user_id: str, key: str, *, agent_id: str, body: JsonValue
) -> IdempotencyClaim:
    """Give the claim of a request; bodies that are equal as JSON have equal fingerprints."""
    return IdempotencyClaim(
        key_hash=_digest(user_id, key), fingerprint=_digest(agent_id, _canonical(body))
    )


def request_fingerprint(agent_id: str, body: JsonValue) -> str:
    """
    Return 16 characters that name an agent and a body, for requests without a key.

    They are 96 bits, compared among the runs of one user and a quarter of an hour.
    """
    digest = hashlib.sha256("\0".join((agent_id, _canonical(body))).encode()).digest()
    return urlsafe_b64encode(digest[:12]).decode()


def _canonical(body: JsonValue) -> str:
    text = _written(body)
    # Only a float that is whole is written in two ways, `1.0` or `1e+16`; most bodies have none,
    # and a large one takes a second to look through.
    return _written(_normal(body)) if ".0" in text or "e+" in text else text


def _written(body: JsonValue) -> str:
    return json.dumps(body, sort_keys=True, separators=(",", ":"))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _normal(value: JsonValue) -> JsonValue:
    """Write a whole number one way: JSON knows no difference between 1 and 1.0."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_normal(item) for item in value]
    if isinstance(value, dict):
        return {name: _normal(item) for name, item in value.items()}
    return value
