"""The token of a login is refreshed before it expires, and once if it is refused."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

import jwt
import pytest

from agentrun_cli.errors import ExitStatus, NotReachableError
from agentrun_cli.login.device_flow import Grant
from agentrun_cli.login.stored import Login, LoginStore
from agentrun_cli.login.token import LoginEndedError, LoginToken
from agentrun_local.cli import main
from tests.device_issuer import DeviceIssuer, running_device_issuer

API = "https://api.example/live"
AGAIN = "log in again: agentrun login --profile live"


@pytest.fixture
def issuer(home: Path) -> Iterator[DeviceIssuer]:
    """An issuer whose next tokens are good for ten minutes."""
    with running_device_issuer() as running:
        yield running


def log_in(issuer: DeviceIssuer, *, expires_in: float | None = 600, base_url: str = API) -> None:
    issuer.expires_in = expires_in
    where = ("--base-url", base_url, "--issuer", issuer.url, "--client-id", "cli")
    assert main(["login", "--profile", "live", *where]) == 0
    issuer.expires_in = 600


def stored(home: Path) -> LoginStore:
    return LoginStore(home / "state" / "agentrun", "live")


def login_of(home: Path) -> Login:
    login = stored(home).read()
    assert login is not None
    return login


def token_of(home: Path) -> LoginToken:
    return LoginToken(stored(home), API)


def refreshes(issuer: DeviceIssuer) -> list[str]:
    return [form["refresh_token"] for form in issuer.forms("/token") if "refresh_token" in form]


def test_an_expired_token_is_refreshed_once_for_all_who_ask(
    issuer: DeviceIssuer, home: Path
) -> None:
    log_in(issuer, expires_in=30)
    sources = [token_of(home) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        tokens = list(pool.map(lambda source: source(), sources))
    assert tokens == ["access-2"] * 4
    assert refreshes(issuer) == ["refresh-1"]
    assert login_of(home).refresh_token == "refresh-2"


def test_a_token_that_is_still_good_is_not_refreshed(issuer: DeviceIssuer, home: Path) -> None:
    log_in(issuer)
    assert token_of(home)() == "access-1"
    # The issuer need not even be there.
    login = replace(login_of(home), expires_at=time.time() + 61, token_endpoint="http://[::]")
    stored(home).write(login)
    assert token_of(home)() == "access-1"


def test_a_refused_token_is_refreshed_although_it_has_not_expired(
    issuer: DeviceIssuer, home: Path
) -> None:
    log_in(issuer)
    source = token_of(home)
    source.refused(source())
    assert (source(), source()) == ("access-2", "access-2")
    assert refreshes(issuer) == ["refresh-1"]
    assert login_of(home).access_token == "access-2"


def test_a_deployment_that_refuses_the_fresh_token_too_is_not_sent_a_third(
    issuer: DeviceIssuer, home: Path
) -> None:
    log_in(issuer)
    source = token_of(home)
    for _ in range(3):
        source.refused(source())
    assert source() == "access-2"
    assert refreshes(issuer) == ["refresh-1"]


def test_a_token_that_is_refused_to_many_is_refreshed_once(
    issuer: DeviceIssuer, home: Path
) -> None:
    log_in(issuer)
    sources = [token_of(home) for _ in range(4)]
    for source in sources:
        source.refused(source())
    with ThreadPoolExecutor(4) as pool:
        tokens = list(pool.map(lambda source: source(), sources))
    assert tokens == ["access-2"] * 4
    assert refreshes(issuer) == ["refresh-1"]


def test_a_late_refusal_of_a_replaced_token_changes_nothing(
    issuer: DeviceIssuer, home: Path
) -> None:
    log_in(issuer)
    source = token_of(home)
    old = source()
    source.refused(old)
    source()
    source.refused(old)
    assert source() == "access-2"
    assert refreshes(issuer) == ["refresh-1"]


@pytest.mark.parametrize("is_refused", [False, True])
def test_a_login_that_was_withdrawn_says_how_to_log_in_again(
    issuer: DeviceIssuer, home: Path, *, is_refused: bool
) -> None:
    log_in(issuer, expires_in=600 if is_refused else 30)
    issuer.refusals["refresh_token"] = "invalid_grant"
    source = token_of(home)
    if is_refused:
        source.refused(source())
    with pytest.raises(LoginEndedError, match=AGAIN) as caught:
        source()
    assert caught.value.exit_status is ExitStatus.REFUSED


def test_a_login_without_a_refresh_token_says_how_to_log_in_again(
    issuer: DeviceIssuer, home: Path
) -> None:
    log_in(issuer)
    stored(home).write(replace(login_of(home), refresh_token=None))
    source = token_of(home)
    source.refused(source())
    with pytest.raises(LoginEndedError, match=f"cannot be renewed; {AGAIN}"):
        source()


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_an_issuer_that_is_busy_ends_no_login(
    issuer: DeviceIssuer, home: Path, status: int
) -> None:
    log_in(issuer, expires_in=30)
    issuer.busy = status
    with pytest.raises(NotReachableError, match=f"answered {status}; try again later"):
        token_of(home)()
    issuer.busy = None
    assert token_of(home)() == "access-2"


def test_the_token_of_a_later_login_to_another_deployment_is_not_sent(
    issuer: DeviceIssuer, home: Path
) -> None:
    log_in(issuer)
    source = token_of(home)
    source.refused(source())
    log_in(issuer, base_url="https://other.example")
    with pytest.raises(LoginEndedError, match=r"the login is for https://other\.example now"):
        source()


def test_logging_out_waits_for_a_refresh_to_be_written(issuer: DeviceIssuer, home: Path) -> None:
    log_in(issuer)
    store = stored(home)
    with ThreadPoolExecutor(1) as pool:
        with store.locked():
            leaving = pool.submit(stored(home).delete)
            assert not wait([leaving], timeout=0.2).done
            store.write(login_of(home))
        assert leaving.result()
    assert store.read() is None


def test_a_token_lasts_as_long_as_it_says_whatever_the_issuers_clock_says() -> None:
    login = Login(API, "https://issuer.example", "cli", "https://issuer.example/token", "", None, 0)
    hours_behind = jwt.encode({"iat": 1_000, "exp": 1_600}, "k" * 32)
    fresh = login.with_grant(Grant(hours_behind, None, None), now=9_000)
    assert fresh.expires_at == 9_600
    assert login.with_grant(Grant(hours_behind, None, 60), now=9_000).expires_at == 9_060
    assert login.with_grant(Grant("opaque", None, None), now=9_000).expires_at is None
