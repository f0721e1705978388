"""All environment variables of a function share 4 KB, whatever a deployment's parameters are."""

import json
import re
from typing import Any

import pytest

from tests.translated_template import properties, stack

FUNCTIONS = (
    *("StreamFunction", "StatusFunction", "WorkerFunction", "WebhookFunction"),
    *("AuthorizerFunction", "PlaygroundFunction"),
)
MOST_BYTES = 4096
"""Names and values together ("Lambda quotas"); its error quotes what it measures, which is JSON."""
LONGEST_STACK_NAME = 128
LONGEST_NAMES = {
    # CloudFormation's names: of the stack, of the resource, and 12 or 13 characters; a bucket's and
    # a queue's are cut to what S3 and SQS take.
    "RunsTable": f"{'s' * LONGEST_STACK_NAME}-RunsTable-{'X' * 13}",
    "RunsBucket": "b" * 63,
    **dict.fromkeys(
        ("RunQueue", "WebhookQueue", "WebhookDeadLetters"),
        f"https://sqs.ap-southeast-2.amazonaws.com.cn/123456789012/{'q' * 80}",
    ),
}
"""What `Ref` returns."""
LONGEST_ATTRIBUTES = {
    # "Creating and managing Lambda function URLs": an id of 32 characters.
    ("StreamFunctionUrl", "FunctionUrl"): (f"https://{'u' * 32}.lambda-url.ap-southeast-2.on.aws/"),
}
"""What `Fn::GetAtt` returns."""
LONGEST_NUMBER = 20
"""Digits of a number that has no maximum."""
COSTLY = ('"', "\\", "\n", "🙂", "é", "x")
EXAMPLES = {
    "Issuer": "https://issuer.example",
    "Audience": "agentrun",
    "JwksUrl": "https://issuer.example/keys",
    "OrgClaim": "org",
    "ScopeClaims": "scope",
    "ScopePrefix": "agentrun/",
    "DefaultScopes": "runs:read",
    "BasePath": "/assist",
    "CorsOrigins": "https://app.example",
    "CorsAllowHeaders": "X-Trace",
    "Model": "openai:gpt-5",
    "SecretsArn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:agents-AbCdEf",
    "PlaygroundScopes": "openid email",
    "PlaygroundSignInQuery": "audience=agentrun",
    "PlaygroundOrigins": "https://login.example",
    "PlaygroundDomain": "agents.example",
    "PlaygroundCertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/ab",
    "WebhookSecretArn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:webhooks-AbCdEf",
}
"""Texts that the patterns let through, where the default is not one to make longer."""


def costliest(name: str, parameter: dict[str, Any]) -> str:
    """Make the longest value that is allowed, of the character that takes most room."""
    if parameter["Type"] == "Number":
        most = parameter.get("MaxValue")
        allowed = parameter.get("AllowedValues") or [
            most if most is not None else "9" * LONGEST_NUMBER
        ]
        # One that is written with fractions may be as long as the range is fine.
        fraction = 4 if "." in str(parameter.get("MinValue", "")) else 0
        return "9" * (max(len(str(value)) for value in allowed) + fraction)
    if "AllowedValues" in parameter:
        return max(map(str, parameter["AllowedValues"]), key=len)
    length: int = parameter["MaxLength"]
    if name == "Jwks":
        return keys_of(length)
    example: str = EXAMPLES.get(name) or parameter["Default"]
    pattern: str = parameter["AllowedPattern"]
    character = next(one for one in COSTLY if is_allowed(pattern, example, one))
    return example + character * (length - len(example))


def is_allowed(pattern: str, example: str, character: str) -> bool:
    """Tell whether a character may stand anywhere in a value."""
    places = range(len(example) + 1)
    values = (f"{example[:place]}{character}{example[place:]}" for place in places)
    return any(re.fullmatch(pattern, value) for value in values)


def keys_of(length: int) -> str:
    """Make a JWKS of the keys that have most quotes for their length: EC keys without names."""
    key = {"kty": "EC", "crv": "P-256", "x": "x" * 43, "y": "y" * 43, "use": "sig"}
    keys: list[dict[str, str]] = []
    while len(written({"keys": [*keys, key]})) <= length:
        keys.append(key)
    room = length - len(written({"keys": keys}))
    keys[0] = key | {"x": key["x"] + "x" * room}
    return written({"keys": keys})


def written(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def environment(function: str, *, has_jwks: bool) -> dict[str, str]:
    """Resolve a function's variables with every parameter as long as it may be."""
    parameters = stack()["Parameters"]

    def resolved(value: Any) -> str:
        match value:
            case str():
                return value
            case {"Ref": name} if name in LONGEST_NAMES:
                return LONGEST_NAMES[name]
            case {"Ref": "Jwks"} if not has_jwks:
                return ""
            case {"Ref": name}:
                return costliest(name, parameters[name])
            case {"Fn::GetAtt": [name, attribute]}:
                return LONGEST_ATTRIBUTES[name, attribute]
            case {"Fn::If": [condition, then, otherwise]}:
                return resolved(then if condition == "HasJwks" and has_jwks else otherwise)
        raise AssertionError(value)

    found = properties(function)["Environment"]["Variables"]
    return {name: resolved(value) for name, value in found.items()}


def size_bytes(function: str) -> int:
    """Measure the larger of the two ways in which keys are told."""
    found = (environment(function, has_jwks=has_jwks) for has_jwks in (True, False))
    return max(len(written(variables).encode()) for variables in found)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_longest_parameters_fit_into_a_functions_environment(function: str) -> None:
    assert size_bytes(function) <= MOST_BYTES


def test_every_text_that_a_function_gets_has_a_bound() -> None:
    parameters = stack()["Parameters"]
    for function in FUNCTIONS:
        names = set(re.findall(r"'Ref': '(\w+)'", str(properties(function)["Environment"])))
        for name in names & set(parameters):
            parameter = parameters[name]
            assert parameter["Type"] == "Number" or {"MaxLength", "AllowedValues"} & set(parameter)


def test_no_text_has_characters_that_take_more_room_than_they_look() -> None:
    for name, parameter in stack()["Parameters"].items():
        if parameter["Type"] == "String" and "MaxLength" in parameter and name != "Jwks":
            value = costliest(name, parameter)
            assert len(written(value).encode()) == parameter["MaxLength"] + 2, name


@pytest.mark.parametrize(
    "keys",
    [
        # What openssl and jose make: base64url of the modulus, a key id of a SHA-256 thumbprint.
        [{"kty": "RSA", "n": "n" * 342, "e": "AQAB", "kid": "k" * 43, "use": "sig"}] * 2,
        [{"kty": "RSA", "n": "n" * 683, "e": "AQAB", "kid": "k" * 43, "alg": "RS256"}],
        [{"kty": "EC", "crv": "P-256", "x": "x" * 43, "y": "y" * 43, "kid": "k" * 20}] * 5,
    ],
)
def test_keys_have_room_while_one_replaces_another(keys: list[dict[str, str]]) -> None:
    assert len(written({"keys": keys})) <= stack()["Parameters"]["Jwks"]["MaxLength"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Issuer", "https://login.microsoftonline.com/b1d0c3f2-5a77-4c0e-9d7b-1234567890ab/v2.0"),
        ("Issuer", "https://cognito-idp.ap-southeast-2.amazonaws.com/ap-southeast-2_AbCdEfGhI"),
        ("Audience", "api://b1d0c3f2-5a77-4c0e-9d7b-1234567890ab"),
        ("Audience", "Agentrun of Example Ltd"),
        ("OrgClaim", "https://claims.agentrun.example.com/organization"),
        ("RoleClaims", "realm_access.roles,resource_access.agentrun.roles"),
        ("RoleClaims", "cognito:groups"),
        ("DefaultScopes", "runs:read,runs:write,runs:impersonate"),
        ("AdminRole", "Agentrun administrators"),
        (
            "Model",
            (
                "bedrock:arn:aws:bedrock:ap-southeast-2:123456789012:"
                "application-inference-profile/abcdefghijkl"
            ),
        ),
        ("CorsOrigins", "https://app.example.com, http://[::1]:3000,https://xn--bcher-kva.example"),
        ("CorsOrigins", ",".join(f"https://customer-{n}.example.com" for n in range(9))),
        (
            "SecretsArn",
            (
                "arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:"
                "secret:production/agentrun/assistants/providers-AbCdEf"
            ),
        ),
    ],
)
def test_what_deployments_need_is_short_enough_and_allowed(name: str, value: str) -> None:
    parameter = stack()["Parameters"][name]
    assert len(value) <= parameter["MaxLength"]
    assert re.fullmatch(parameter["AllowedPattern"], value)
