"""
Whatever a client sends, each parser takes it or refuses it: nothing else ever happens.

`make test ARGS="tests/unit/core/http/test_fuzz_input.py -s"` prints how much was tried.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic_core import from_json
from starlette.exceptions import HTTPException
from starlette.requests import Request

from agentrun.domain.approvals import (
    ContinueRequest,
    ResolveRequest,
    approval_id,
    run_of_approval,
)
from agentrun.domain.errors import (
    AgentrunError,
    ApprovalNotFoundError,
    InvalidRequestError,
    UnauthenticatedError,
)
from agentrun.domain.lists.cursors import cursor_at, position_of
from agentrun.domain.ports import VerifiedToken
from agentrun.domain.principal import Principal
from agentrun.domain.requests import RunRequest, idempotency_claim, request_fingerprint
from agentrun.http.bearer import authorizer_context, bearer_token, verified_by_gateway
from agentrun.http.problems import of_agentrun_error
from agentrun.http.requests import (
    cursor_of,
    idempotency_of,
    parse_json,
    read_json,
    reader_of,
    session_policy_of,
    validated,
    wants_stream,
)
from agentrun.service.reading.runs import distinct_run_ids

thorough = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TRIED: Counter[str] = Counter()
T = TypeVar("T")


@pytest.fixture(scope="module", autouse=True)
def printed() -> Iterator[None]:
    """Print how much was tried, in the end."""
    yield
    rows = "".join(f"\n{name}: {number}" for name, number in TRIED.items())
    print(f"{rows}\nin all: {sum(TRIED.values())} inputs")  # noqa: T201 - what it is for


def taken(parser: str, parse: Callable[[], T]) -> T | None:
    """Parse; a refusal has to be short and to go out as a problem, any other error is a failure."""
    TRIED[parser] += 1
    try:
        return parse()
    except (AgentrunError, HTTPException) as error:
        refusal = error
    if isinstance(refusal, HTTPException):
        assert refusal.status_code == 415
    else:
        request = Request({"type": "http", "method": "GET", "path": "/", "headers": []})
        assert len(of_agentrun_error(request, refusal).body) < 4_000
    return None


# st.text gives no halves of surrogate pairs to speak of, whatever its alphabet.
CHARACTERS = st.characters() | st.sampled_from("\ud83d\ude00\ud800\0")
ANY_TEXT = st.lists(CHARACTERS, max_size=40).map("".join) | st.text(max_size=40)
TEXT = st.text(max_size=40)
FINITE = (
    st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(10**300, 10**320)
)
NUMBERS = FINITE | st.floats()
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)
PIECES = st.sampled_from(
    [
        *(b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b" ", b"\n", b"\0", b"\xff"),
        *(rb"\ud800", rb"\uDFFF", rb"\ud83d\ude00", rb"\u0000", rb"\n", rb"\x", rb"\\"),
        *(b'"a"', b'"a":1', b"1", b"-", b"0.5", b"1e999", b"9" * 1_001, b"NaN", b"Infinity"),
        *(b"true", b"null", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"[" * 65, b"\xc3\xa9", b"'"),
    ]
)
SCRAPS = st.lists(PIECES, max_size=30).map(b"".join)
WRITTEN = st.builds(
    lambda value, ascii_only, indent: json.dumps(
        value, ensure_ascii=ascii_only, indent=indent
    ).encode(errors="surrogatepass"),
    JSON,
    st.booleans(),
    st.sampled_from([None, 1]),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Return JSON in which something has been put, left out, or done twice."""
    whole = draw(WRITTEN)
    start = draw(st.integers(0, len(whole)))
    end = draw(st.integers(start, min(len(whole), start + 10)))
    return whole[:start] + draw(PIECES | st.just(whole[start:end] * 2)) + whole[end:]


@thorough
@given(st.binary(max_size=200) | SCRAPS | WRITTEN | damaged())
def test_what_is_read_as_json_another_parser_reads_the_same(body: bytes) -> None:
    value = taken("parse_json", lambda: parse_json(body))
    if value is not None:
        assert value == from_json(body, allow_inf_nan=False) == json.loads(body)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


@thorough
@given(JSON)
def test_good_json_is_read_unless_it_breaks_a_rule(written: Any) -> None:
    body = json.dumps(written).encode()
    # Two halves side by side have become one character.
    value = json.loads(body)
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        is_clean = True
    except ValueError:
        # No number of JSON, or half of a surrogate pair: UnicodeEncodeError is one too.
        is_clean = False
    read = taken("parse_json, good", lambda: (parse_json(body),))
    assert (read == (value,)) if is_clean else (read is None)


NAMES = st.sampled_from(
    [
        *("message", "sessionId", "session_id", "userId", "orgId", "org_id", "media", "options"),
        *("generateFollowups", "type", "data", "model", "temperature", "maxTokens"),
        *("systemPrompt", "action", "reason", "decisions", "decision", "id", "arguments"),
    ]
)
WORDS = st.sampled_from(
    ["m", "APPROVE", "REJECT", "APPROVED", "image/png", "YQ==", "http://[", "A" * 100_001]
)
BODIES = st.recursive(
    st.none() | st.booleans() | FINITE | TEXT | WORDS | st.uuids().map(str),
    lambda inner: st.lists(inner, max_size=12) | st.dictionaries(NAMES | TEXT, inner, max_size=6),
    max_leaves=25,
)


@thorough
@given(st.sampled_from([RunRequest, ContinueRequest, ResolveRequest]), BODIES)
def test_a_body_of_any_shape_is_valid_or_named_at_fault(model: type[BaseModel], body: Any) -> None:
    found = taken(f"validated, {model.__name__}", lambda: validated(body, model))
    assert found is None or isinstance(body, dict)


@thorough
@given(BODIES, BODIES)
def test_bodies_have_the_same_fingerprint_only_if_they_are_equal(one: Any, other: Any) -> None:
    TRIED["idempotency_claim"] += 1

    def claim(body: Any) -> str:
        return idempotency_claim("ana", "k", agent_id="echo", body=body).fingerprint

    def fingerprint(body: Any) -> str:
        return request_fingerprint("echo", body)

    for known_by in (claim, fingerprint):
        assert known_by(one) == known_by(json.loads(json.dumps(one)))
        assert one == other or known_by(one) != known_by(other)


def rewritten(value: Any, chance: Random) -> Any:
    """Return equal JSON as another writer may send it: other orders, 1.0 for 1."""
    if isinstance(value, dict):
        names = chance.sample(list(value), len(value))
        return {name: rewritten(value[name], chance) for name in names}
    if isinstance(value, list):
        return [rewritten(item, chance) for item in value]
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if is_whole and abs(value) < 2**53 and chance.random() < 0.5 else value


@thorough
@given(BODIES | st.dictionaries(NAMES, st.integers()), st.randoms(use_true_random=False))
def test_bodies_that_are_equal_as_json_have_the_same_fingerprint(body: Any, chance: Random) -> None:
    TRIED["request_fingerprint"] += 1
    text = json.dumps(rewritten(body, chance), ensure_ascii=chance.random() < 0.5, indent=1)
    same = json.loads(text)
    assert request_fingerprint("echo", same) == request_fingerprint("echo", body)
    assert request_fingerprint("other", same) != request_fingerprint("echo", body)
    assert len(request_fingerprint("echo", body)) == 16


HEADER_BYTES = st.binary(max_size=40) | st.text("0123456789 -+.,_", max_size=25).map(str.encode)
HEADER_NAMES = st.sampled_from(
    [
        *(b"last-event-id", b"idempotency-key", b"x-session-policy", b"accept"),
        *(b"content-type", b"content-encoding"),
    ]
)
VALUES = HEADER_BYTES | st.sampled_from(
    [
        *(b"interrupt", b"application/json", b"application/json;charset=utf-8", b";charset="),
        *(b"text/event-stream", b"identity", b"k" * 256),
    ]
)
REQUESTS = st.builds(
    lambda headers, query: {
        "type": "http",
        "method": "POST",
        "path": "/",
        "headers": headers,
        "query_string": query,
    },
    st.lists(st.tuples(HEADER_NAMES, VALUES), max_size=4),
    HEADER_BYTES | HEADER_BYTES.map(lambda value: b"lastEventId=" + value),
)


@thorough
@given(REQUESTS, WRITTEN)
def test_headers_and_queries_are_read_or_refused(scope: dict[str, Any], body: bytes) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    request = Request(scope, receive)
    cursor = taken("cursor_of", lambda: cursor_of(request))
    assert cursor is None or 0 <= cursor < 10**18
    reader = taken("reader_of", lambda: reader_of(request, None))
    assert reader is None or reader.cursor is None or 0 <= reader.cursor < 10**18
    found = taken("idempotency_of", lambda: idempotency_of(request, None))
    assert found is None or re.fullmatch(r"[!-~]{1,255}", found.key)
    taken("session_policy_of", lambda: session_policy_of(request))
    taken("wants_stream", lambda: wants_stream(request))
    taken("read_json", lambda: asyncio.run(read_json(request)))


@thorough
@given(st.lists(ANY_TEXT | st.text("ab,- ", max_size=300), max_size=5))
def test_run_ids_are_read_or_too_many(values: list[str]) -> None:
    found = taken("distinct_run_ids", lambda: distinct_run_ids(values))
    if found is not None:
        assert len(set(found)) == len(found) <= 100
        assert all(part and "," not in part for part in found)


POSITIONS = st.text(min_size=1, max_size=90)
LISTS = st.sampled_from(["ORG#acme#USER#ana", "ORG#acme#USER#bob", ""])


@thorough
@given(ANY_TEXT | st.text("ABCabc019-_=", max_size=250), LISTS)
def test_text_is_no_cursor(text: str, list_key: str) -> None:
    assert taken("position_of", lambda: position_of(list_key, text)) is None


@thorough
@given(POSITIONS, LISTS, st.data())
def test_a_cursor_is_good_for_its_own_list_as_it_is(
    position: str, list_key: str, data: st.DataObject
) -> None:
    cursor = cursor_at(list_key, position)
    if len(cursor) <= 200:
        assert position_of(list_key, cursor) == position
    other = data.draw(LISTS.filter(lambda key: key != list_key))
    assert taken("position_of, another list", lambda: position_of(other, cursor)) is None
    at = data.draw(st.integers(0, len(cursor) - 1))
    changed = cursor[:at] + data.draw(st.text("ABCabc019-_=é", max_size=2)) + cursor[at + 1 :]
    if changed != cursor:
        assert taken("position_of, changed", lambda: position_of(list_key, changed)) is None


@thorough
@given(ANY_TEXT | st.from_regex(r"\A[A-Za-z0-9_-]{0,66}\.[0-9]{0,14}\n?\Z"))
def test_an_approvals_id_names_its_run_or_is_none(wanted: str) -> None:
    TRIED["run_of_approval"] += 1
    try:
        run_id, event_id = run_of_approval(wanted)
    except ApprovalNotFoundError:
        return
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", run_id)
    assert wanted in {approval_id(run_id, event_id), f"{run_id}.{wanted.rpartition('.')[2]}"}


CLAIMS = st.sampled_from(["orgId", "userId", "scope", "roles", "exp", "principalId"])


@thorough
@given(st.dictionaries(CLAIMS, JSON | st.sampled_from(["1", "-1", "9" * 5_000, "\u0661"])))
def test_an_authorizers_context_is_an_identity_or_none(context: dict[str, Any]) -> None:
    verified = taken("verified_by_gateway", lambda: verified_by_gateway(context))
    if verified is not None:
        assert {"orgId", "userId", "exp"} <= set(context)
        assert verified.principal.tenant == str(context["orgId"])


WORD = st.text(st.characters(exclude_characters=" "), min_size=1, max_size=10)


@thorough
@given(TEXT, TEXT, st.frozensets(WORD, max_size=3), st.frozensets(WORD, max_size=3), st.integers())
def test_an_identity_passes_the_gateway_unchanged(
    tenant: str, user: str, scopes: frozenset[str], roles: frozenset[str], exp: int
) -> None:
    TRIED["authorizer_context"] += 1
    principal = Principal(tenant=tenant, user_id=user, scopes=scopes, roles=roles)
    verified = VerifiedToken(principal=principal, expires_epoch_s=exp)
    assert verified_by_gateway(authorizer_context(verified)) == verified


@thorough
@given(st.lists(ANY_TEXT | ANY_TEXT.map(lambda text: f"Bearer {text}"), max_size=3))
def test_a_header_has_a_token_or_none(values: list[str]) -> None:
    found = taken("bearer_token", lambda: bearer_token(values))
    assert found is None or (len(values) == 1 and found and found in values[0])


def test_a_failure_that_is_no_refusal_is_a_failure_here() -> None:
    with pytest.raises(ZeroDivisionError):
        taken("nothing", lambda: 1 // 0)
    for refusal in (InvalidRequestError("no"), UnauthenticatedError("no")):
        assert taken("nothing", lambda error=refusal: _raise(error)) is None  # type: ignore[misc]
    del TRIED["nothing"]


def _raise(error: Exception) -> None:
    raise error
