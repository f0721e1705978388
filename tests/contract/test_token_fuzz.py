"""Whatever a token is made of, it is good, or it is refused: nothing else ever happens."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agentrun.domain.errors import UnauthenticatedError
from agentrun.domain.ports import VerifiedToken
from agentrun.http.bearer import authorizer_context, verified_by_gateway
from tests.contract.test_token_verifier import KEYS, VERIFIER, claims, raw_token, token

ED25519 = KEYS["EdDSA"][0]
HEADER = {"alg": "EdDSA", "kid": "EdDSA"}
GOOD = [token(algorithm, exp=4_000_000_000) for algorithm in KEYS]
CALLER = VERIFIER.verify(GOOD[0])

thorough = settings(max_examples=300, deadline=None)
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=6,
)


def verdict(candidate: str) -> VerifiedToken | None:
    """Return what a token that is good says; any error but the one refusal is a test's failure."""
    try:
        return VERIFIER.verify(candidate)
    except UnauthenticatedError as error:
        refusal = str(error)
    assert refusal == "A valid bearer token is required."
    return None


@thorough
@given(ANY_TEXT | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_text_is_no_token(text: str) -> None:
    assert verdict(text) is None


@thorough
@given(st.lists(st.binary(max_size=60), min_size=3, max_size=3))
def test_bytes_in_the_form_of_a_token_are_none(parts: list[bytes]) -> None:
    assert verdict(raw_token(parts[0], parts[1], lambda _: parts[2])) is None


@thorough
@given(st.sampled_from(GOOD), st.data())
def test_a_changed_token_is_refused_or_says_the_same(good: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(len(good), start + 40)))
    filling = data.draw(st.text("ABCabc019-_.= \n", max_size=8) | st.just(good[start:end][::-1]))
    assert verdict(good[:start] + filling + good[end:]) in (None, CALLER)


HEADER_NAMES = st.sampled_from(
    ["alg", "kid", "typ", "cty", "crit", "b64", "zip", "jku", "jwk", "x5u", "x5c"]
)


@thorough
@given(st.dictionaries(HEADER_NAMES, JSON | st.sampled_from(list(KEYS)), max_size=4))
def test_a_header_changes_nothing_but_the_key(header: dict[str, Any]) -> None:
    signed = raw_token({**HEADER, **header}, claims(exp=4_000_000_000), ED25519.sign)
    assert verdict(signed) in (None, CALLER)


TIMES = ["exp", "nbf", "iat"]
CLAIM_NAMES = st.sampled_from(
    [*TIMES, "iss", "aud", "sub", "jti", "org", "scope", "roles", "token_use", "client_id"]
)


@thorough
@given(st.dictionaries(CLAIM_NAMES, JSON, max_size=4))
def test_claims_of_any_shape_are_refused_or_pass_the_gateway_unchanged(
    changes: dict[str, Any],
) -> None:
    verified = verdict(raw_token(HEADER, {**claims(), **changes}, ED25519.sign))
    if verified is not None:
        context = json.loads(json.dumps(authorizer_context(verified), ensure_ascii=False).encode())
        assert verified_by_gateway(context) == verified


@thorough
@given(JSON | st.binary(max_size=100))
def test_claims_that_are_no_object_are_refused(payload: object) -> None:
    assert verdict(raw_token(HEADER, payload, ED25519.sign)) is None


@thorough
@given(st.integers(4000, 7000), st.sampled_from([b"9", b"[", b'{"":', b'"\\']), st.booleans())
def test_claims_that_strain_a_parser_are_refused(
    size: int, piece: bytes, in_the_header: bool
) -> None:
    strain = piece * (size // len(piece))
    header = strain if in_the_header else HEADER
    payload = b'{"exp":' + strain + b"}"
    signed = raw_token(header, claims() if in_the_header else payload, ED25519.sign)
    assert verdict(signed) is None
