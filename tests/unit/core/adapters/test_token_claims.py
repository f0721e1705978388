"""What of a token's claims counts, and where it is looked for."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrun.adapters.tokens.verifier import TokenClaims, claim_at, is_meant_for
from agentrun.domain.errors import UnauthenticatedError
from agentrun.domain.principal import Principal
from agentrun.settings import Settings

CLAIMS: dict[str, Any] = {"sub": "ana", "org_id": "acme"}


def principal(where: TokenClaims | None = None, **claims: Any) -> Principal:
    return (where or TokenClaims()).principal({**CLAIMS, **claims})


@pytest.mark.parametrize(
    ("claims", "path", "found"),
    [
        ({"org": "a"}, "org", "a"),
        ({"o": {"id": "a"}}, "o.id", "a"),
        ({"a": {"b": {"c": "x"}}}, "a.b.c", "x"),
        ({"cognito:groups": ["x"]}, "cognito:groups", ["x"]),
        ({"https://example.com/org": "a"}, "https://example.com/org", "a"),
        ({"https://example.com/o": {"id": "a"}}, "https://example.com/o.id", "a"),
        ({"resource_access": {"my.app": {"roles": ["x"]}}}, "resource_access.my.app.roles", ["x"]),
        ({"o.id": "exact", "o": {"id": "path"}}, "o.id", "exact"),
        ({"a.b": {"c": "longest"}, "a": {"b.c": "x", "b": {"c": "y"}}}, "a.b.c", "longest"),
        ({"o.id": None, "o": {"id": "path"}}, "o.id", None),
        ({"o": {}}, "o.id", None),
        ({"o": "id"}, "o.id", None),
        ({"o": ["id"]}, "o.id", None),
        ({"o": None}, "o.id", None),
        ({"": "a"}, "o", None),
        ({}, ".", None),
        ([], "0", None),
    ],
)
def test_a_claim_is_found_by_its_name_or_by_a_path(claims: object, path: str, found: Any) -> None:
    assert claim_at(claims, path) == found


NAMES = st.text("ab.:/", min_size=1, max_size=6)


@settings(max_examples=300, deadline=None)
@given(NAMES, NAMES, st.dictionaries(NAMES, st.dictionaries(NAMES, st.integers())))
def test_every_claim_can_be_named_unless_a_longer_name_is_in_the_way(
    outer: str, inner: str, others: dict[str, Any]
) -> None:
    claims = {**others, outer: {inner: "it"}}
    path = f"{outer}.{inner}"
    ahead = [
        name for name in others if len(name) > len(outer) and f"{path}.".startswith(f"{name}.")
    ]
    assert ahead or claim_at(claims, path) == "it"
    assert claim_at(claims, outer) == {inner: "it"}


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scope": "runs:read  runs:write"}, {"runs:read", "runs:write"}),
        ({"scope": ["runs:read"]}, {"runs:read"}),
        ({"scp": ["runs:read", "runs:write"]}, {"runs:read", "runs:write"}),
        ({"scp": "runs:read runs:write"}, {"runs:read", "runs:write"}),
        ({"scope": "runs:read", "scp": "runs:write"}, {"runs:read"}),
        ({"scope": "", "scp": "runs:write"}, set()),
        ({"scope": None, "scp": "runs:write"}, {"runs:write"}),
        ({"scope": {"runs:read": True}}, set()),
        ({"permissions": ["runs:read"]}, set()),
        ({}, set()),
    ],
)
def test_scopes_are_in_scope_or_where_that_is_absent_in_scp(
    claims: dict[str, Any], scopes: set[str]
) -> None:
    assert principal(**claims).scopes == scopes


def test_all_claims_that_are_named_for_scopes_count_and_no_other() -> None:
    where = TokenClaims(scopes=("permissions", "o.per"))
    claims = {
        "permissions": ["runs:read"],
        "o": {"per": "runs:write x"},
        "scope": "runs:impersonate",
    }
    assert principal(where, **claims).scopes == {"runs:read", "runs:write", "x"}


def test_with_a_prefix_scopes_without_it_do_not_count() -> None:
    where = TokenClaims(scope_prefix="agentrun/")
    scope = "agentrun/runs:read runs:write other/runs:write agentrun/ openid"
    assert principal(where, scope=scope).scopes == {"runs:read"}


def test_default_scopes_are_everybodys_beside_their_own() -> None:
    where = TokenClaims(scope_prefix="agentrun/", default_scopes=frozenset({"runs:read"}))
    assert principal(where).scopes == {"runs:read"}
    assert principal(where, scope="agentrun/runs:write").scopes == {"runs:read", "runs:write"}


@pytest.mark.parametrize(
    ("admin_role", "roles", "is_admin"),
    [
        ("admin", ["admin"], True),
        ("admin", "user admin", True),
        ("admin", ["not admin"], False),
        ("org:admin", ["org:admin"], True),
        ("org:admin", ["admin"], False),
        ("Agentrun admins", ["Agentrun admins"], True),
        ("Agentrun admins", "Agentrun admins", False),
        ("admin", {"admin": True}, False),
        ("admin", [["admin"]], False),
    ],
)
def test_the_configured_role_alone_makes_an_administrator(
    admin_role: str, roles: object, is_admin: bool
) -> None:
    assert principal(TokenClaims(admin_role=admin_role), roles=roles).is_admin is is_admin


@pytest.mark.parametrize("org", [None, "", " ", "\u2003", 7, True, ["acme"], {"id": "acme"}])
def test_what_names_no_organisation_is_refused_and_the_reason_names_the_claim(org: object) -> None:
    with pytest.raises(UnauthenticatedError) as refusal:
        principal(TokenClaims(organisation="o.id"), o={"id": org})
    assert "'o.id'" in refusal.value.reason


def test_another_claim_may_name_the_user() -> None:
    assert principal(TokenClaims(user="oid"), oid="u-1").user_id == "u-1"
    with pytest.raises(UnauthenticatedError):
        principal(TokenClaims(user="oid"))


@pytest.mark.parametrize(
    ("claims", "meant"),
    [
        ({"azp": "agentrun", "aud": "account"}, True),
        ({"azp": ["x", "agentrun"]}, True),
        ({"azp": "other", "aud": "agentrun"}, False),
        ({"aud": "agentrun"}, False),
        ({"token_use": "access", "client_id": "agentrun"}, False),
        ({"azp": "agentrun", "token_use": "refresh"}, False),
    ],
)
def test_another_claim_may_say_whom_a_token_is_for(claims: dict[str, Any], meant: bool) -> None:
    assert is_meant_for("agentrun", claims, claim="azp") is meant


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("admin"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abo.", max_size=3), inner),
    max_leaves=6,
)
PATHS = st.text("abo.", max_size=5)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.text("abo.", max_size=3), JSON), PATHS, PATHS, st.sampled_from(["", "a"]))
def test_claims_of_any_shape_name_a_caller_or_are_refused(
    claims: dict[str, Any], organisation: str, other: str, prefix: str
) -> None:
    where = TokenClaims(
        organisation=organisation, scopes=(other,), roles=(other,), scope_prefix=prefix
    )
    try:
        caller = where.principal({"sub": "ana", **json.loads(json.dumps(claims))})
    except UnauthenticatedError as error:
        assert f"'{organisation}'" in error.reason  # noqa: PT017 - refused or read, both are right
    else:
        assert caller.tenant == (claim_at(claims, organisation) if organisation else "default")


def test_settings_read_lists_by_commas_and_keep_defaults_where_empty() -> None:
    environment = {
        "AGENTRUN_SCOPE_CLAIMS": "scope, permissions",
        "AGENTRUN_DEFAULT_SCOPES": "runs:read,,runs:write",
        "AGENTRUN_ROLE_CLAIMS": "",
        "AGENTRUN_ADMIN_ROLE": "Agentrun admins",
    }
    found = Settings.from_environment(environment)
    assert found.scope_claims == ("scope", "permissions")
    assert found.default_scopes == ("runs:read", "runs:write")
    assert found.role_claims == ("roles",)
    assert (found.admin_role, found.user_claim, found.jwks) == ("Agentrun admins", "sub", None)
