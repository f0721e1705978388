"""Requests that may be sent twice: which ones are the same."""

import hashlib
import json

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
    canonical = json.dumps(_normal(body), sort_keys=True, separators=(",", ":"))
    return IdempotencyClaim(
        key_hash=_digest(user_id, key), fingerprint=_digest(agent_id, canonical)
    )


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
