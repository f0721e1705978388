"""Where a tenant stands in keys: no two tenants' keys meet, and it can be read back."""

import re
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from agentrun.adapters.dynamo.headers import header_item, run_from_header
from agentrun.adapters.dynamo.items import (
    MAX_KEY_BYTES,
    claim_key,
    quota_key,
    readers_key,
    run_pk,
    session_list_key,
    session_pk,
    tenant_key,
    ticket_key,
)
from agentrun.domain.quotas import user_tag
from agentrun.domain.requests import IdempotencyClaim
from agentrun.domain.runs import RunKey
from agentrun.domain.value import ID_PATTERN
from tests.runs import a_run

ADAPTERS = Path(__file__).resolve().parents[4] / "layers/core/agentrun"
# What keys are made of, so that tenants often look like parts of them.
PIECES = [
    *("#", "%", "23", "25", "%23", "ORG#", "#RUN#", "#SES#", "#USER#"),
    *("#QUOTA", "#READERS#", "acme", "a"),
]
TENANTS = st.one_of(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=12).map("".join),
    st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=256),
)
IDS = st.from_regex(ID_PATTERN, fullmatch=True)
thorough = settings(max_examples=500, deadline=None)


def keys_of(tenant: str, name: str, user: str) -> list[str]:
    """Return every kind of key that has a tenant in it."""
    claim = IdempotencyClaim(key_hash=name, fingerprint="")
    return [
        run_pk(RunKey(tenant=tenant, run_id=name)),
        session_pk(tenant, name),
        session_list_key(tenant, user),
        claim_key(tenant, claim)["pk"]["S"],
        quota_key(tenant)["pk"]["S"],
        readers_key(tenant, user_tag(user))["pk"]["S"],
    ]


@thorough
@given(TENANTS, TENANTS, IDS, TENANTS, IDS, TENANTS)
def test_no_key_of_a_tenant_begins_as_anothers(
    one: str, other: str, name: str, user: str, other_name: str, other_user: str
) -> None:
    prefix = tenant_key(other, "")
    for key in keys_of(one, name, user):
        assert key.startswith(prefix) == (one == other)
    shared = set(keys_of(one, name, user)) & set(keys_of(other, other_name, other_user))
    assert one == other or not shared


@settings(max_examples=200, deadline=None)
@given(TENANTS, IDS, TENANTS, st.text(min_size=1))
def test_no_tenants_key_is_a_tickets(tenant: str, name: str, user: str, digest: str) -> None:
    prefix = ticket_key("")["pk"]["S"]
    assert not any(key.startswith(prefix) for key in keys_of(tenant, name, user))
    assert not ticket_key(digest)["pk"]["S"].startswith(tenant_key(tenant, ""))


@thorough
@given(TENANTS, TENANTS)
def test_users_of_a_tenant_have_lists_of_their_own(one: str, other: str) -> None:
    assert (session_list_key("acme", one) == session_list_key("acme", other)) == (one == other)


@thorough
@given(TENANTS, IDS)
def test_a_tenant_is_read_back_from_a_runs_key(tenant: str, run_id: str) -> None:
    assert run_from_header(header_item(a_run(run_id, org_id=tenant))).key == RunKey(
        tenant=tenant, run_id=run_id
    )


@thorough
@given(IDS, IDS)
def test_keys_that_are_stored_stay_as_they_are(tenant: str, name: str) -> None:
    assert keys_of(tenant, name, "auth0|7#%") == [
        f"ORG#{tenant}#RUN#{name}",
        f"ORG#{tenant}#SES#{name}",
        f"ORG#{tenant}#USER#auth0|7#%",
        f"ORG#{tenant}#IDEM#{name}",
        f"ORG#{tenant}#QUOTA",
        f"ORG#{tenant}#READERS#{user_tag('auth0|7#%')}",
    ]


LONG = st.sampled_from(["o", "#", "%", "\u00e9", "\u65e5", "\U0001f989"]).map(lambda c: c * 256)


@given(LONG, LONG)
def test_the_longest_names_fit_into_a_key(tenant: str, user: str) -> None:
    assert max(len(key.encode()) for key in keys_of(tenant, "x" * 64, user)) <= MAX_KEY_BYTES


def test_users_whose_names_are_too_long_for_a_key_are_not_taken_for_another() -> None:
    tenant, foxes = "\U0001f989" * 256, "\U0001f98a" * 255
    lists = {session_list_key(tenant, foxes + last) for last in ("\U0001f98a", "\U0001f989")}
    digest = next(iter(lists)).rpartition("#")[2]
    lists.add(session_list_key(tenant, digest))
    lists.add(session_list_key(tenant, f"HASH#{digest}"))
    assert len(lists) == 4


def test_one_function_alone_writes_a_tenant_into_a_key() -> None:
    modules = {path.name: path.read_text() for path in ADAPTERS.rglob("*.py")}
    assert [name for name, text in modules.items() if re.search(r"[\"']ORG[#\"']", text)] == [
        "items.py"
    ]
