"""What the template says of the playground, on the CloudFormation that SAM makes of it."""

import re
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient

from agentrun_local.doors.http_messages import Receive, Scope, Send
from agentrun_local.playground import serving
from agentrun_local.playground.assets import Asset
from agentrun_local.playground.door import PlaygroundDoor, PlaygroundSettings
from agentrun_local.template.cloudformation import Resource
from tests.translated_template import properties, routes, stack
from tests.unit.test_template import deployed

ISSUER = "https://tenant.eu.auth0.com/some/realm"
ON = {"Playground": "On", "Issuer": ISSUER}
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/0d9b3c52"


def distribution(**parameters: str) -> dict[str, Any]:
    found: dict[str, Any] = deployed(**ON, **parameters)["PlaygroundDistribution"].properties
    config: dict[str, Any] = found["DistributionConfig"]
    return config


def behaviour_of_api() -> dict[str, Any]:
    (found,) = distribution()["CacheBehaviors"]
    behaviour: dict[str, Any] = found
    return behaviour


def headers(**parameters: str) -> dict[str, str]:
    """Return what a page is sent with, by names in small letters."""
    return sent_headers(deployed(**ON, **parameters))


def sent_headers(resources: dict[str, Resource]) -> dict[str, str]:
    said = resources["PlaygroundHeaders"].properties["ResponseHeadersPolicyConfig"]
    security = said["SecurityHeadersConfig"]
    custom = said["CustomHeadersConfig"]["Items"]
    assert all(one["Override"] for one in [*security.values(), *custom])
    age = security["StrictTransportSecurity"]["AccessControlMaxAgeSec"]
    policy = security["ContentSecurityPolicy"]["ContentSecurityPolicy"]
    return {
        "content-security-policy": policy,
        "referrer-policy": security["ReferrerPolicy"]["ReferrerPolicy"],
        "strict-transport-security": f"max-age={age}",
        "x-content-type-options": "nosniff",
        **{one["Header"].lower(): one["Value"] for one in custom},
    }


def directives(policy: str) -> dict[str, set[str]]:
    parts = (part.split() for part in policy.split(";"))
    return {name: set(values) for name, *values in parts}


def test_by_default_there_is_nothing_of_it() -> None:
    assert [name for name in deployed() if name.startswith("Playground")] == []
    assert [n for n in stack()["Resources"] if n.startswith("Playground")] == [
        name
        for name, said in stack()["Resources"].items()
        if said.get("Condition") == "HasPlayground"
    ]


def test_switched_on_it_adds_what_costs_nothing_while_nobody_calls() -> None:
    added = {
        name: found.type
        for name, found in deployed(**ON).items()
        if name not in deployed(Issuer=ISSUER)
    }
    # SAM's translation gives a layer's content a name of its own.
    kinds = {re.sub(r"(?<=Layer)[0-9a-f]{10}$", "", name): kind for name, kind in added.items()}
    assert kinds == {
        "PlaygroundFunction": "AWS::Lambda::Function",
        "PlaygroundFunctionRole": "AWS::IAM::Role",
        "PlaygroundLayer": "AWS::Lambda::LayerVersion",
        "PlaygroundLogGroup": "AWS::Logs::LogGroup",
        "PlaygroundFiles": "Custom::PlaygroundFiles",
        "PlaygroundBucket": "AWS::S3::Bucket",
        "PlaygroundBucketPolicy": "AWS::S3::BucketPolicy",
        "PlaygroundAccess": "AWS::CloudFront::OriginAccessControl",
        "PlaygroundHeaders": "AWS::CloudFront::ResponseHeadersPolicy",
        "PlaygroundDistribution": "AWS::CloudFront::Distribution",
    }


def test_the_bucket_is_private_encrypted_and_goes_with_the_stack() -> None:
    bucket = stack()["Resources"]["PlaygroundBucket"]
    assert bucket["DeletionPolicy"] == "Delete"
    said = bucket["Properties"]
    assert set(said["PublicAccessBlockConfiguration"].values()) == {True}
    assert said["BucketEncryption"]
    assert "WebsiteConfiguration" not in said
    refused, served = properties("PlaygroundBucketPolicy")["PolicyDocument"]["Statement"]
    assert refused["Effect"] == "Deny"
    assert served["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    assert served["Action"] == "s3:GetObject"
    (of,) = served["Condition"]["StringEquals"].items()
    assert of[0] == "aws:SourceArn"
    assert of[1]["Fn::Sub"].endswith(":distribution/${PlaygroundDistribution}")


def test_files_are_read_from_the_bucket_by_signed_requests() -> None:
    origins = {one["Id"]: one for one in distribution()["Origins"]}
    assert origins["files"]["OriginAccessControlId"]
    access = properties("PlaygroundAccess")["OriginAccessControlConfig"]
    assert (access["SigningBehavior"], access["SigningProtocol"]) == ("always", "sigv4")
    default = distribution()["DefaultCacheBehavior"]
    assert default["TargetOriginId"] == "files"
    assert default["AllowedMethods"] == ["GET", "HEAD"]
    assert default["ResponseHeadersPolicyId"]


def test_every_path_of_the_api_goes_to_the_api_with_its_token_and_past_any_cache() -> None:
    behaviour = behaviour_of_api()
    prefix = behaviour["PathPattern"].removesuffix("*")
    assert prefix == "/api/"
    assert [path for path, _ in routes() if not path.startswith(prefix)] == []
    assert set(behaviour["AllowedMethods"]) >= {method.upper() for _, method in routes()}
    # The token does not go by http, not even to be redirected.
    assert behaviour["ViewerProtocolPolicy"] == "https-only"
    managed_caching_disabled = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
    managed_all_but_host = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
    assert behaviour["CachePolicyId"] == managed_caching_disabled
    assert behaviour["OriginRequestPolicyId"] == managed_all_but_host
    assert "ResponseHeadersPolicyId" not in behaviour
    (api,) = (one for one in distribution()["Origins"] if one["Id"] == "api")
    assert (
        api["OriginPath"] == f"/{stack()['Resources']['ApiliveStage']['Properties']['StageName']}"
    )
    assert api["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"


def test_a_stream_is_neither_held_back_nor_cut() -> None:
    assert behaviour_of_api()["Compress"] is False
    (api,) = (one for one in distribution()["Origins"] if one["Id"] == "api")
    longest_silence_s = stack()["Parameters"]["PingAfter"]["MaxValue"]
    assert api["CustomOriginConfig"]["OriginReadTimeout"] >= 3 * longest_silence_s


def test_one_callers_error_is_nobody_elses() -> None:
    kept = {one["ErrorCode"]: one for one in distribution()["CustomErrorResponses"]}
    # Those that CloudFront keeps ("Caching HTTP 4xx and 5xx status codes").
    assert set(kept) == {400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504}
    assert list(kept.values()) == [{"ErrorCode": code, "ErrorCachingMinTTL": 0} for code in kept]


def test_nothing_logs_the_query_of_a_sign_in() -> None:
    assert "Logging" not in distribution()
    assert "LoggingConfiguration" not in properties("PlaygroundBucket")


async def _no_api(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise AssertionError("the page is not the API's")


@pytest.mark.anyio
async def test_a_page_is_sent_with_the_headers_of_the_local_one_and_over_tls_only() -> None:
    page = {"/": Asset(b"page", "text/html", "no-cache", '"1"')}
    door = PlaygroundDoor(page, PlaygroundSettings("", None, None), api=_no_api)
    async with AsyncClient(
        transport=ASGITransport(app=door), base_url="http://127.0.0.1"
    ) as client:
        local = (await client.get("/")).headers
    sent = headers()
    assert directives(sent.pop("content-security-policy")) == directives(
        local["content-security-policy"]
    )
    assert sent.pop("strict-transport-security") == "max-age=63072000"
    assert sent == {name: local[name] for name in sent}


@pytest.mark.parametrize(
    ("issuer", "origins", "connected"),
    [
        (ISSUER, "", {"https://tenant.eu.auth0.com"}),
        ("http://127.0.0.1:9000", "", {"http://127.0.0.1:9000"}),
        (
            "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEfGhI",
            "https://a.auth.eu-west-1.amazoncognito.com https://b.example",
            {
                "https://cognito-idp.eu-west-1.amazonaws.com",
                *("https://a.auth.eu-west-1.amazoncognito.com", "https://b.example"),
            },
        ),
    ],
)
def test_the_page_talks_to_its_own_origin_and_where_one_signs_in(
    issuer: str, origins: str, connected: set[str]
) -> None:
    given = {"Playground": "On", "Issuer": issuer, "PlaygroundOrigins": origins}
    without = sent_headers(deployed(**given))["content-security-policy"]
    assert directives(without)["connect-src"] == {"'self'"}
    signing_in = sent_headers(deployed(**given, PlaygroundClientId="page"))
    policy = directives(signing_in["content-security-policy"])
    assert policy["connect-src"] == {"'self'", *connected}


def test_new_files_have_the_bucket_filled_again_within_a_bounded_time() -> None:
    files = properties("PlaygroundFiles")
    assert files["Files"]["Ref"].startswith("PlaygroundLayer")
    layers = properties("PlaygroundFunction")["Layers"]
    assert files["Files"] in layers
    # An hour, if nothing is said.
    assert files["ServiceTimeout"] >= 2 * properties("PlaygroundFunction")["Timeout"]
    assert files["ServiceTimeout"] <= 300
    # By then the rights of the function's role are known everywhere.
    assert stack()["Resources"]["PlaygroundFiles"]["DependsOn"] == "PlaygroundBucketPolicy"


def test_the_pages_settings_are_the_parameters() -> None:
    config = deployed(**ON, PlaygroundClientId="page", PlaygroundScopes="openid runs:read")[
        "PlaygroundFiles"
    ].properties["Config"]
    assert config == {
        "issuer": ISSUER,
        "clientId": "page",
        "scopes": "openid runs:read",
        "signInQuery": "",
        "sends": "access_token",
    }
    assert deployed(**ON)["PlaygroundFiles"].properties["Config"]["issuer"] == ""


def test_a_domain_of_ones_own_comes_with_a_certificate_and_todays_tls() -> None:
    assert "Aliases" not in distribution()
    assert distribution()["ViewerCertificate"] == {"CloudFrontDefaultCertificate": True}
    own = distribution(PlaygroundDomain="agents.example.com", PlaygroundCertificateArn=CERTIFICATE)
    assert own["Aliases"] == ["agents.example.com"]
    assert own["ViewerCertificate"] == {
        "AcmCertificateArn": CERTIFICATE,
        "SslSupportMethod": "sni-only",
        "MinimumProtocolVersion": "TLSv1.2_2021",
    }


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("PlaygroundScopes", "openid offline_access api://agentrun/.default", True),
        ("PlaygroundScopes", "runs:read", False),
        ("PlaygroundSignInQuery", "audience=https://agentrun.example.com&prompt=login", True),
        ("PlaygroundSignInQuery", "resource=https%3A%2F%2Fagentrun.example.com", True),
        ("PlaygroundSignInQuery", "audience", False),
        ("PlaygroundOrigins", "https://a.example; script-src *", False),
        ("PlaygroundOrigins", "https://a.example/path", False),
        ("PlaygroundDomain", "agents.example.com", True),
        ("PlaygroundDomain", "https://agents.example.com", False),
        ("PlaygroundCertificateArn", CERTIFICATE, True),
        ("PlaygroundCertificateArn", CERTIFICATE.replace("us-east-1", "eu-west-1"), False),
    ],
)
def test_what_is_given_can_be_what_it_is_for(name: str, value: str, accepted: bool) -> None:
    pattern = stack()["Parameters"][name]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, value)) == accepted


def test_a_deployment_asks_for_none_of_its_parameters() -> None:
    parameters = stack()["Parameters"]
    named = {name: said for name, said in parameters.items() if name.startswith("Playground")}
    assert len(named) == 8
    assert all("Default" in said for said in named.values())
    assert named["Playground"]["Default"] == "Off"


def test_the_local_page_is_told_the_same_of_an_issuer() -> None:
    given = {
        "Issuer": "https://issuer.example/realm",
        "PlaygroundClientId": "page",
        "PlaygroundScopes": "openid runs:read",
        "PlaygroundSignInQuery": "audience=me",
        "PlaygroundToken": "id_token",
        "PlaygroundOrigins": "https://a.example https://b.example",
    }
    resources = deployed(Playground="On", **given)
    assert serving._sign_in(given) == resources["PlaygroundFiles"].properties["Config"]
    policy = directives(sent_headers(resources)["content-security-policy"])
    assert {"'self'", *serving._origins(given)} == policy["connect-src"]
    assert serving._sign_in({"Issuer": "https://issuer.example"}) == {}
