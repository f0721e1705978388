"""What the tokens of six issuers say, in the shape that each of them documents."""

from dataclasses import dataclass, field
from typing import Any

SCOPES = ["runs:read", "runs:write"]


@dataclass(frozen=True)
class IssuedToken:
    """
    One kind of token.

    `section` is the heading of docs/deploy.md that has its parameters, and `changes` what its text
    says to change of them. `audience`, `organisation` and `rights` name the claims without which it
    is refused; `admin` is what an administrator's token says in addition.
    """

    section: str
    claims: dict[str, Any]
    audience: str
    tenant: str
    organisation: str | None = None
    rights: str | None = None
    admin: dict[str, Any] | None = None
    user: str = "sub"
    changes: dict[str, str] = field(default_factory=dict)


# https://developer.okta.com/docs/api/openapi/okta-oauth/guides/overview/ (access token)
_OKTA = {
    "ver": 1,
    "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE",
    "iss": "https://ORG.okta.com/oauth2/default",
    "aud": "api://default",
    "sub": "ana@example.com",
    "cid": "nmdP1fcyvdVO11AL7ECm",
    "uid": "00ujmkLgagxeRrAg20g3",
    "scp": ["openid", *SCOPES],
    "groups": ["Everyone"],
}
# https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
_TENANT_ID = "72f988bf-86f1-41af-91ab-2d7cd011db47"
_ENTRA = {
    "aud": "CLIENT_ID",
    "iss": "https://login.microsoftonline.com/TENANT_ID/v2.0",
    "azp": "6e74172b-be56-4843-9ff4-e66a39bb12e3",
    "azpacr": "0",
    "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474",
    "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
    "tid": _TENANT_ID,
    "uti": "fqiBqXLPj0eQa82S-IYFAA",
    "ver": "2.0",
}
# https://auth0.com/docs/secure/tokens/access-tokens, .../enable-role-based-access-control-for-apis
_AUTH0 = {
    "iss": "https://TENANT.auth0.com/",
    "sub": "auth0|5f7c8ec7c33c6c004bbafe82",
    "aud": ["https://agentrun.example.com", "https://TENANT.auth0.com/userinfo"],
    "azp": "my_client_id",
    "scope": "openid profile",
    "org_id": "org_9ybsU1dN2dKfDkBi",
    "permissions": SCOPES,
}
# https://www.keycloak.org/docs/latest/server_admin/ (clients, role mappings)
_KEYCLOAK = {
    "jti": "trrtcc:0f7f3f6c-5b2f-4f0c-9d5c-1d5b8f0c9a55",
    "iss": "https://HOST/realms/REALM",
    "aud": "account",
    "sub": "d1ce1d8f-2d0c-4c35-8b0e-6a1f7f4b9f0e",
    "typ": "Bearer",
    "azp": "CLIENT",
    "sid": "3cf0b6f0-7e39-4a2f-bf3e-0f4d6cf5f8f1",
    "acr": "1",
    "allowed-origins": ["https://app.example.com"],
    "realm_access": {"roles": ["offline_access", "uma_authorization", *SCOPES]},
    "resource_access": {"account": {"roles": ["manage-account", "view-profile"]}},
    "scope": "openid email profile",
    "preferred_username": "ana",
}
# https://docs.aws.amazon.com/cognito/latest/developerguide/
# amazon-cognito-user-pools-using-the-access-token.html, and ...-using-the-id-token.html
_COGNITO = {
    "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
    "iss": "https://cognito-idp.REGION.amazonaws.com/POOL_ID",
    "version": 2,
    "client_id": "CLIENT_ID",
    "origin_jti": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
    "token_use": "access",
    "scope": "openid profile agentrun/runs:read agentrun/runs:write",
    "username": "ana",
}
_COGNITO_ID = {
    "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
    "cognito:groups": SCOPES,
    "email_verified": True,
    "iss": "https://cognito-idp.REGION.amazonaws.com/POOL_ID",
    "cognito:username": "ana",
    "custom:org_id": "acme",
    "aud": "CLIENT_ID",
    "token_use": "id",
    "email": "ana@example.com",
}
# https://clerk.com/docs/guides/sessions/session-tokens (version 2)
_CLERK = {
    "azp": "https://app.example.com",
    "fva": [7, -1],
    "iss": "https://clerk.example.com",
    "sid": "sess_2ZK8Jr7UkFZ9QF0vLQmSkJTbn3x",
    "sub": "user_2ZK8Jr7UkFZ9QF0vLQmSkJTbn3y",
    "sts": "active",
    "v": 2,
    "pla": "u:free",
    "fea": "o:dashboard,o:impersonation",
    "o": {"id": "org_2ZK8Jr7UkFZ9QF0vLQmSkJTbn3z", "slg": "acme", "rol": "member", "per": "read"},
}

TOKENS = {
    "Okta, user": IssuedToken(
        *("Okta", _OKTA, "aud", "default"),
        rights="scp",
        admin={"groups": ["Everyone", "Agentrun admins"]},
    ),
    "Entra, user": IssuedToken(
        *("Entra", _ENTRA | {"scp": " ".join(SCOPES), "name": "Ana"}, "aud", _TENANT_ID, "tid"),
        rights="scp",
        admin={"roles": ["admin"]},
    ),
    "Entra, app": IssuedToken(
        *("Entra", _ENTRA | {"roles": SCOPES, "idtyp": "app"}, "aud", _TENANT_ID, "tid"),
        rights="roles",
        admin={"roles": ["admin", *SCOPES]},
    ),
    "Auth0, RBAC": IssuedToken(
        *("Auth0", _AUTH0, "aud", "org_9ybsU1dN2dKfDkBi", "org_id"),
        rights="permissions",
        admin={"https://agentrun.example.com/roles": ["admin"]},
    ),
    "Keycloak": IssuedToken(
        *("Keycloak", _KEYCLOAK, "azp", "default"),
        rights="realm_access",
        admin={"realm_access": {"roles": ["admin"]}},
    ),
    "Cognito, user": IssuedToken(
        *("Cognito", _COGNITO, "client_id", "default"),
        rights="scope",
        admin={"cognito:groups": ["admin"]},
    ),
    "Cognito, client credentials": IssuedToken(
        "Cognito",
        {name: _COGNITO[name] for name in ("iss", "client_id", "token_use", "version")}
        | {"sub": "CLIENT_ID", "scope": "agentrun/runs:read agentrun/runs:write"},
        *("client_id", "default"),
        rights="scope",
    ),
    "Cognito, ID token": IssuedToken(
        *("Cognito without a login page", _COGNITO_ID, "aud", "acme", "custom:org_id"),
        rights="cognito:groups",
        admin={"cognito:groups": ["admin"]},
    ),
    "Clerk, session": IssuedToken(
        *("Clerk", _CLERK, "azp", "org_2ZK8Jr7UkFZ9QF0vLQmSkJTbn3z", "o"),
        admin={"o": {"id": "org_2ZK8Jr7UkFZ9QF0vLQmSkJTbn3z", "slg": "acme", "rol": "admin"}},
    ),
    "Okta, several organisations": IssuedToken(
        *("Okta", _OKTA | {"org": "https://acme.example/eu#7"}, "aud"),
        *("https://acme.example/eu#7", "org"),
        rights="scp",
        changes={"OrgClaim": "org"},
    ),
    "Entra, user by oid": IssuedToken(
        *("Entra", _ENTRA | {"scp": " ".join(SCOPES)}, "aud", _TENANT_ID, "tid"),
        rights="scp",
        user="oid",
        changes={"UserClaim": "oid"},
    ),
    "Auth0, neither RBAC nor organisations": IssuedToken(
        "Auth0",
        {name: _AUTH0[name] for name in ("iss", "sub", "aud", "azp")}
        | {"scope": "openid runs:read runs:write"},
        *("aud", "default"),
        rights="scope",
        changes={"ScopeClaims": "", "OrgClaim": ""},
    ),
    "Keycloak, mapped": IssuedToken(
        "Keycloak",
        _KEYCLOAK
        | {"aud": ["CLIENT", "account"], "org_id": "acme"}
        | {"resource_access": {"CLIENT": {"roles": SCOPES}}},
        *("aud", "acme", "org_id"),
        rights="resource_access",
        admin={"resource_access": {"CLIENT": {"roles": ["admin"]}}},
        changes={
            "AudienceClaim": "aud",
            "OrgClaim": "org_id",
            "ScopeClaims": "resource_access.CLIENT.roles",
            "RoleClaims": "resource_access.CLIENT.roles",
        },
    ),
    "Clerk, session of version 1": IssuedToken(
        "Clerk",
        {name: _CLERK[name] for name in ("azp", "fva", "iss", "sid", "sub")}
        | {"org_id": "org_1", "org_role": "org:member", "org_slug": "acme"},
        *("azp", "org_1", "org_id"),
        admin={"org_role": "org:admin"},
        changes={"OrgClaim": "org_id", "RoleClaims": "org_role", "AdminRole": "org:admin"},
    ),
}
