"""Bearer tokens in requests, and identities behind the gateway."""

import pytest

from agentrun.domain.errors import UnauthenticatedError
from agentrun.domain.ports import VerifiedToken
from agentrun.domain.principal import Principal
from agentrun.http.bearer import authorizer_context, bearer_token, verified_by_gateway

VERIFIED = VerifiedToken(
    principal=Principal(
        tenant="acme",
        user_id="auth0|ana",
        scopes=frozenset({"runs:read", "runs:write"}),
        roles=frozenset({"admin"}),
    ),
    expires_epoch_s=1_800_000_000,
)


@pytest.mark.parametrize("header", ["Bearer abc", "bearer abc", "  BEARER  abc "])
def test_the_scheme_is_read_in_any_case(header: str) -> None:
    assert bearer_token([header]) == "abc"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [""],
        ["abc"],
        ["Basic abc"],
        ["BearerX abc"],
        ["Bearer"],
        ["Bearer "],
        ["Bearer\tabc"],
        ["Bearer a"] * 2,
        ["Basic abc", "Bearer a"],
    ],
)
def test_anything_but_one_bearer_token_is_refused_in_the_same_words(headers: list[str]) -> None:
    with pytest.raises(UnauthenticatedError, match=r"^A valid bearer token is required\.$"):
        bearer_token(headers)


def test_other_white_space_than_a_space_does_not_take_a_role_apart() -> None:
    roles = frozenset({"not\u00a0admin", "not\u2028admin"})
    principal = Principal(tenant="acme", user_id="ana", roles=roles)
    verified = VerifiedToken(principal=principal, expires_epoch_s=1)
    assert verified_by_gateway(authorizer_context(verified)).principal.roles == roles


@pytest.mark.parametrize("missing", ["userId", "orgId", "exp"])
def test_an_incomplete_identity_is_refused(missing: str) -> None:
    context = authorizer_context(VERIFIED)
    del context[missing]
    with pytest.raises(UnauthenticatedError):
        verified_by_gateway(context)
