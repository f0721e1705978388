"""Options win over variables, variables over files; no token goes to another deployment."""

import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import jwt
import pytest

from agentrun_cli.connection.folders import config_file, state_folder
from agentrun_cli.connection.profiles import Profile, ProfileFile
from agentrun_cli.connection.target import LOCAL_BASE_URL, LOCAL_STREAM_URL, Given, find_target
from agentrun_cli.errors import UsageError
from agentrun_cli.login.stored import Login, LoginStore
from agentrun_local.addresses import Addresses, announced, running_addresses

LIVE, STAGING = "https://api.example/live", "https://staging.example"


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    """A user with two profiles: `live` has a token command, `staging` a login."""
    variables = {"HOME": str(home)}
    file = ProfileFile(config_file(variables))
    file.put(Profile("live", LIVE, f"{LIVE}/url", token_command="echo of-live"))
    file.put(Profile("staging", STAGING))
    store = LoginStore(state_folder(variables), "staging")
    with store.locked():
        store.write(Login(STAGING, "i", "c", "t", "of-staging", None, None))
    return variables


def given(**options: str) -> Given:
    return Given(template=Path("/nowhere/template.yaml"), **options)


def test_without_anything_it_is_the_local_stack(home: Path) -> None:
    target = find_target(Given(template=home / "template.yaml"), {"HOME": str(home)})
    assert (target.base_url, target.stream_url) == (LOCAL_BASE_URL, LOCAL_STREAM_URL)
    assert target.is_local_default
    claims = jwt.decode(target.token(), options={"verify_signature": False})
    assert claims["roles"] == ["admin"]


@pytest.fixture
def stack(environment: dict[str, str]) -> Iterator[Path]:
    """A template whose stack runs on ports of its own."""
    template = Path(environment["HOME"]) / "shop" / "template.yaml"
    with socket.create_server(("127.0.0.1", 0)) as door:
        url = f"http://127.0.0.1:{door.getsockname()[1]}"
        with announced(Addresses(url, "http://127.0.0.1:1"), template):
            yield template


def test_a_stack_is_found_on_the_ports_that_it_took(
    environment: dict[str, str], stack: Path
) -> None:
    target = find_target(Given(template=stack), environment)
    assert running_addresses(stack) == Addresses(target.base_url, str(target.stream_url))
    assert jwt.decode(target.token(), options={"verify_signature": False})["roles"] == ["admin"]
    elsewhere = Given(template=stack.parent.parent / "template.yaml")
    assert find_target(elsewhere, environment).base_url == LOCAL_BASE_URL


def test_what_is_asked_for_wins_over_the_stack_that_runs_here(
    environment: dict[str, str], stack: Path
) -> None:
    named = Given(template=stack, base_url=STAGING, token="t")
    assert find_target(named, environment).base_url == STAGING
    variable = {"AGENTRUN_BASE_URL": STAGING, "AGENTRUN_TOKEN": "t"}
    assert find_target(Given(template=stack), {**environment, **variable}).base_url == STAGING
    ProfileFile(config_file(environment)).use("live")
    assert find_target(Given(template=stack), environment).base_url == LIVE


@pytest.mark.parametrize(
    ("options", "variables", "base_url"),
    [
        ({}, {"AGENTRUN_PROFILE": "live"}, LIVE),
        ({"profile": "staging"}, {"AGENTRUN_PROFILE": "live"}, STAGING),
        ({"profile": "staging"}, {"AGENTRUN_BASE_URL": "https://other.example"}, STAGING),
        ({"base_url": f"{STAGING}/"}, {"AGENTRUN_PROFILE": "staging"}, STAGING),
        ({}, {"AGENTRUN_BASE_URL": STAGING, "AGENTRUN_PROFILE": "staging"}, STAGING),
    ],
)
def test_options_win_over_variables(
    environment: dict[str, str],
    options: Mapping[str, str],
    variables: Mapping[str, str],
    base_url: str,
) -> None:
    assert find_target(given(**options), {**environment, **variables}).base_url == base_url


def test_the_profile_in_use_wins_over_the_local_stack(environment: dict[str, str]) -> None:
    ProfileFile(config_file(environment)).use("live")
    target = find_target(given(), environment)
    assert (target.base_url, target.stream_url) == (LIVE, f"{LIVE}/url")
    assert not target.is_local_default


@pytest.mark.parametrize(
    ("options", "variables", "token"),
    [
        ({"profile": "live"}, {}, "of-live"),
        ({"profile": "staging"}, {}, "of-staging"),
        ({"profile": "live"}, {"AGENTRUN_TOKEN": "v"}, "of-live"),
        ({}, {"AGENTRUN_PROFILE": "live", "AGENTRUN_TOKEN": " v\n"}, "v"),
        ({"profile": "live", "token": "option"}, {"AGENTRUN_TOKEN": "v"}, "option"),
        ({"base_url": "https://other.example"}, {"AGENTRUN_TOKEN": "v"}, "v"),
        ({"profile": "live", "base_url": "https://api.example/next"}, {}, "of-live"),
    ],
)
def test_tokens_come_in_the_documented_order(
    environment: dict[str, str],
    options: Mapping[str, str],
    variables: Mapping[str, str],
    token: str,
) -> None:
    assert find_target(given(**options), {**environment, **variables}).token() == token


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/live",
        "http://api.example/live",
        "https://api.example:8443/live",
        "https://api.example.evil.example/live",
    ],
)
@pytest.mark.parametrize("profile", ["live", "staging"])
def test_a_profiles_token_goes_to_its_own_host_only(
    environment: dict[str, str], profile: str, elsewhere: str
) -> None:
    with pytest.raises(UsageError, match="is not sent to"):
        find_target(given(profile=profile, base_url=elsewhere), environment)


def test_the_local_stack_gets_tokens_of_its_own(environment: dict[str, str]) -> None:
    template = Path(environment["HOME"]) / "template.yaml"
    options = Given(template=template, profile="live", base_url="http://127.0.0.1:9000")
    token = find_target(options, environment).token()
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["iss"] == "https://agentrun.local"


def test_a_login_does_not_follow_its_profile_to_another_deployment(
    environment: dict[str, str],
) -> None:
    ProfileFile(config_file(environment)).put(Profile("staging", "https://moved.example"))
    with pytest.raises(UsageError, match="agentrun login --profile staging"):
        find_target(given(profile="staging"), environment)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"base_url": "https://other.example"}, "a token is needed for https://other.example"),
        ({"base_url": "api.example"}, "is no base URL"),
        ({"base_url": "https://user:pass@api.example"}, "is no base URL"),
        ({"base_url": "https://api.example/?a=b"}, "is no base URL"),
        ({"base_url": "https://api.example/#a"}, "is no base URL"),
        ({"profile": "none"}, "there is no profile 'none'"),
    ],
)
def test_what_is_missing_is_said(
    environment: dict[str, str], options: Mapping[str, str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        find_target(given(**options), environment)


def test_a_target_never_shows_its_token(environment: dict[str, str]) -> None:
    options = given(base_url="https://other.example", token="secret-token")
    assert "secret-token" not in repr((options, find_target(options, environment)))
