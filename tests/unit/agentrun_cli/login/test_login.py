"""`agentrun login` against an issuer on loopback: the device flow, refreshing, and what is kept."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from agentrun_cli.errors import CommandError, NotReachableError
from agentrun_cli.login.device_flow import DeviceFlow
from agentrun_cli.login.issuer import LoginError, discover
from agentrun_cli.login.stored import LoginStore
from agentrun_local.cli import main
from tests.device_issuer import DEVICE_GRANT, DISCOVERY, DeviceIssuer, running_device_issuer

API = "https://api.example/live"


@pytest.fixture
def issuer() -> Iterator[DeviceIssuer]:
    with running_device_issuer() as running:
        yield running


def log_in(issuer: DeviceIssuer, *options: str) -> int:
    where = ("--profile", "live", "--base-url", API, "--issuer", issuer.url, "--client-id", "cli")
    return main(["login", *where, *options])


def stored(home: Path) -> LoginStore:
    return LoginStore(home / "state" / "agentrun", "live")


def test_a_login_shows_the_code_and_keeps_the_tokens_to_itself(
    issuer: DeviceIssuer, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    issuer.pending = ["authorization_pending"]
    assert log_in(issuer, "--audience", "https://api", "--scope", "runs:read") == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert f"Open {issuer.url}/device and enter the code ABCD-EFGH" in told.err
    assert "access-" not in told.err
    assert "refresh-" not in told.err
    assert issuer.forms("/device/code") == [
        {"client_id": "cli", "scope": "runs:read", "audience": "https://api"}
    ]
    polls = issuer.forms("/token")
    assert [poll["grant_type"] for poll in polls] == [DEVICE_GRANT, DEVICE_GRANT]
    assert polls[0]["client_id"] == "cli"
    file = home / "state" / "agentrun" / "live.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    login = stored(home).read()
    assert login is not None
    assert login.access_token == "access-1"
    assert "access-1" not in repr(login)


def test_a_second_login_needs_no_options(
    issuer: DeviceIssuer, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert log_in(issuer) == 0
    assert main(["login", "--profile", "live"]) == 0
    assert issuer.forms("/device/code")[1]["scope"] == "openid offline_access"
    assert main(["profiles", "show", "live", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["clientId"] == "cli"
    assert main(["logout", "--profile", "live"]) == 0
    assert stored(home).read() is None
    assert main(["logout", "--profile", "live"]) == 0


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("access_denied", "the login was denied"),
        ("expired_token", "run agentrun login again"),
        ("unauthorized_client", "does not allow this client"),
        ("odd\x1b[2J", "agentrun: odd\ufffd[2J"),
    ],
)
def test_a_login_that_is_not_granted_fails_and_keeps_nothing(
    issuer: DeviceIssuer,
    home: Path,
    capsys: pytest.CaptureFixture[str],
    error: str,
    said: str,
) -> None:
    issuer.pending = ["authorization_pending", error]
    assert log_in(issuer) == 1
    assert said in capsys.readouterr().err
    assert stored(home).read() is None


def test_slow_down_makes_every_later_poll_wait_five_seconds_longer(issuer: DeviceIssuer) -> None:
    issuer.pending = ["authorization_pending", "slow_down", "authorization_pending", "slow_down"]
    issuer.code["interval"] = 2
    waits: list[float] = []
    with httpx.Client() as http:
        endpoints = discover(http, issuer.url)
        flow = DeviceFlow(http, endpoints, "cli", sleep=waits.append)
        grant = flow.wait(flow.begin(scope=None, audience=None))
    assert waits == [2, 2, 7, 7, 12]
    assert grant.access_token == "access-1"


def test_a_code_that_nobody_confirms_is_given_up_when_it_expires(issuer: DeviceIssuer) -> None:
    issuer.pending = ["authorization_pending"] * 100
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    issuer.code |= {"interval": None, "expires_in": 12}
    with httpx.Client() as http:
        endpoints = discover(http, issuer.url)
        flow = DeviceFlow(http, endpoints, "cli", clock=lambda: now, sleep=sleep)
        with pytest.raises(LoginError, match="nobody confirmed"):
            flow.wait(flow.begin(scope=None, audience=None))
    assert len(issuer.forms("/token")) == 3


def test_an_oauth_server_without_openid_is_found_by_rfc_8414(issuer: DeviceIssuer) -> None:
    document = issuer.documents.pop(DISCOVERY)
    document["issuer"] = f"{issuer.url}/tenant"
    issuer.documents["/.well-known/oauth-authorization-server/tenant"] = document
    with httpx.Client() as http:
        assert discover(http, f"{issuer.url}/tenant").token == f"{issuer.url}/token"
    assert issuer.asked[0][0] == f"/tenant{DISCOVERY}"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"issuer": "https://evil.example"}, "of another issuer"),
        ({"device_authorization_endpoint": None}, "has no device flow"),
        ({"token_endpoint": "http://issuer.example/token"}, "is no https URL"),
    ],
)
def test_an_issuer_that_cannot_be_used_is_refused(
    issuer: DeviceIssuer, changes: dict[str, str | None], said: str
) -> None:
    issuer.documents[DISCOVERY] |= changes
    with httpx.Client() as http, pytest.raises(LoginError, match=said):
        discover(http, issuer.url)


def test_what_is_no_issuer_is_refused(issuer: DeviceIssuer) -> None:
    with httpx.Client() as http:
        with pytest.raises(LoginError, match="publishes no openid-configuration"):
            discover(http, f"{issuer.url}/else")
        with pytest.raises(LoginError, match="is no https URL"):
            discover(http, "http://issuer.example")
        with pytest.raises(NotReachableError):
            discover(http, "http://127.0.0.1:1")


def test_a_folder_that_cannot_be_written_is_said(
    issuer: DeviceIssuer, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "state").write_text("a file")
    assert log_in(issuer) == 1
    assert "cannot be used" in capsys.readouterr().err


def test_a_broken_file_of_tokens_says_what_to_do(home: Path) -> None:
    file = home / "state" / "agentrun" / "live.json"
    file.parent.mkdir(parents=True)
    file.write_text("{")
    with pytest.raises(CommandError, match="agentrun login --profile live"):
        stored(home).read()
