"""When an issuer is asked for its keys, and what is believed while it does not answer."""

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest

from agentrun.adapters.tokens import signing_keys
from agentrun.adapters.tokens.jwks import JwksUnavailableError
from agentrun.adapters.tokens.signing_keys import RemoteSigningKeys, UnknownKeyError
from agentrun.domain.errors import IssuerUnavailableError
from tests.unit.core.adapters.test_jwks import ec_jwk

KEY = jwt.PyJWK(ec_jwk(), "ES256")


class ScriptedIssuer:
    """Publishes what a test says; `gate` holds its answers back."""

    def __init__(self, *kids: str) -> None:
        self.kids = kids
        self.is_down = False
        self.fetches = 0
        self.gate = threading.Event()
        self.gate.set()
        self.now_s = 1000.0

    def fetch(self, timeout_s: float) -> dict[str, jwt.PyJWK]:
        self.fetches += 1
        found = dict.fromkeys(self.kids, KEY)
        self.gate.wait()
        if self.is_down:
            raise JwksUnavailableError("down")
        return found

    def clock(self) -> float:
        return self.now_s

    def wait_for_fetch(self, number: int) -> None:
        give_up_at = time.monotonic() + 10
        while self.fetches < number:
            assert time.monotonic() < give_up_at, f"fetch {number} never came"
            time.sleep(0.001)


@pytest.fixture
def issuer() -> Iterator[ScriptedIssuer]:
    issuer = ScriptedIssuer("old")
    yield issuer
    issuer.gate.set()


@pytest.fixture
def keys(issuer: ScriptedIssuer) -> RemoteSigningKeys:
    return RemoteSigningKeys(issuer.fetch, clock=issuer.clock)


def outcome(keys: RemoteSigningKeys, kid: str) -> str:
    try:
        return "found" if keys.key(kid) is KEY else "wrong"
    except UnknownKeyError:
        return "unknown"
    except IssuerUnavailableError:
        return "unavailable"


def test_keys_are_fetched_when_first_needed_and_kept(
    issuer: ScriptedIssuer, keys: RemoteSigningKeys
) -> None:
    assert issuer.fetches == 0
    for _ in range(3):
        assert outcome(keys, "old") == "found"
    issuer.now_s += signing_keys.LIFESPAN_S - 1
    assert outcome(keys, "old") == "found"
    assert issuer.fetches == 1


def test_a_withdrawn_key_is_good_for_ten_minutes_at_most(
    issuer: ScriptedIssuer, keys: RemoteSigningKeys
) -> None:
    assert outcome(keys, "old") == "found"
    issuer.kids = ("new",)
    issuer.now_s += signing_keys.LIFESPAN_S
    assert outcome(keys, "old") == "unknown"
    assert outcome(keys, "new") == "found"


def test_a_key_is_kept_until_the_issuer_is_to_be_asked_again(
    issuer: ScriptedIssuer, keys: RemoteSigningKeys
) -> None:
    assert keys.kept("old") is None
    keys.key("old")
    issuer.now_s += signing_keys.LIFESPAN_S - 1
    assert keys.kept("old") is KEY
    assert keys.kept("new") is None
    issuer.now_s += 1
    assert keys.kept("old") is None
    assert issuer.fetches == 1


def test_a_new_key_is_known_at_once(issuer: ScriptedIssuer, keys: RemoteSigningKeys) -> None:
    assert outcome(keys, "old") == "found"
    issuer.kids = ("old", "new")
    assert outcome(keys, "new") == "found"
    assert issuer.fetches == 2


def test_a_flood_of_unknown_keys_is_one_fetch_in_30_seconds(
    issuer: ScriptedIssuer, keys: RemoteSigningKeys
) -> None:
    assert outcome(keys, "old") == "found"
    for second in range(300):
        issuer.now_s = 1000 + second
        assert {outcome(keys, f"made-up-{second}-{n}") for n in range(10)} == {"unknown"}
        assert outcome(keys, "old") == "found"
    assert issuer.fetches == 1 + 300 / signing_keys.REFRESH_PAUSE_S


@pytest.mark.parametrize(
    ("kid", "expected"), [("old", "found"), ("new", "found"), ("x", "unknown")]
)
def test_fifty_threads_in_need_of_a_key_are_one_fetch(
    issuer: ScriptedIssuer, keys: RemoteSigningKeys, kid: str, expected: str
) -> None:
    if kid != "old":
        keys.key("old")
        issuer.kids = ("old", "new")
    before = issuer.fetches
    issuer.gate.clear()
    together = threading.Barrier(51)

    def ask() -> str:
        together.wait()
        return outcome(keys, kid)

    with ThreadPoolExecutor(50) as threads:
        answers = [threads.submit(ask) for _ in range(50)]
        together.wait()
        issuer.gate.set()
        assert [answer.result() for answer in answers] == [expected] * 50
    assert issuer.fetches == before + 1


def test_nobody_with_a_known_key_waits_for_somebody_elses_fetch(
    issuer: ScriptedIssuer, keys: RemoteSigningKeys
) -> None:
    keys.key("old")
    issuer.gate.clear()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(outcome, keys, "new")
        issuer.wait_for_fetch(2)
        assert outcome(keys, "old") == "found"
        assert not waiting.done()
        issuer.gate.set()
        assert waiting.result() == "unknown"


@pytest.mark.parametrize("fetches_before", [0, 1])
def test_a_fetch_that_began_before_the_key_was_published_does_not_count(
    issuer: ScriptedIssuer, keys: RemoteSigningKeys, fetches_before: int
) -> None:
    for _ in range(fetches_before):
        keys.key("old")
        issuer.now_s += signing_keys.LIFESPAN_S
    issuer.gate.clear()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(outcome, keys, "old")
        issuer.wait_for_fetch(fetches_before + 1)
        issuer.kids = ("old", "new")
        issuer.now_s += 0.5
        second = threads.submit(outcome, keys, "new")
        issuer.gate.set()
        assert (first.result(), second.result()) == ("found", "found")
    assert issuer.fetches == fetches_before + 2


def test_a_key_set_without_a_usable_key_is_logged_once_for_each_fetch(
    issuer: ScriptedIssuer, keys: RemoteSigningKeys, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.kids = ()
    for _ in range(3):
        assert outcome(keys, "old") == "unknown"
    fetches = issuer.fetches
    assert caplog.messages == ["the issuer publishes no key that can verify a token"] * fetches
    issuer.kids = ("old",)
    issuer.now_s += signing_keys.LIFESPAN_S
    assert outcome(keys, "old") == "found"
    assert (issuer.fetches, len(caplog.messages)) == (fetches + 1, fetches)


def test_the_last_good_keys_outlive_an_outage_of_four_hours(
    issuer: ScriptedIssuer, keys: RemoteSigningKeys, caplog: pytest.LogCaptureFixture
) -> None:
    assert outcome(keys, "old") == "found"
    issuer.is_down = True
    began_s = issuer.now_s
    while issuer.now_s - began_s < signing_keys.LAST_GOOD_S:
        assert outcome(keys, "old") == "found"
        issuer.now_s += 60
    assert outcome(keys, "old") == "unavailable"
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    issuer.is_down = False
    issuer.now_s += signing_keys.RETRY_PAUSE_S
    assert outcome(keys, "old") == "found"


def test_an_issuer_that_is_down_is_asked_every_30_seconds_for_old_keys(
    issuer: ScriptedIssuer, keys: RemoteSigningKeys
) -> None:
    keys.key("old")
    issuer.is_down = True
    issuer.now_s += signing_keys.LIFESPAN_S
    before = issuer.fetches
    for _ in range(120):
        assert outcome(keys, "old") == "found"
        assert outcome(keys, "new") == "unavailable"
        issuer.now_s += 1
    assert issuer.fetches - before == 120 / signing_keys.REFRESH_PAUSE_S


def test_without_any_key_an_issuer_that_is_down_is_asked_every_2_seconds(
    issuer: ScriptedIssuer, keys: RemoteSigningKeys
) -> None:
    issuer.is_down = True
    for _ in range(20):
        assert outcome(keys, "old") == "unavailable"
        issuer.now_s += 0.5
    assert issuer.fetches == 5
    issuer.is_down = False
    assert outcome(keys, "old") == "found"


def test_a_fetch_that_hangs_holds_up_nobody_for_longer_than_its_time_out(
    issuer: ScriptedIssuer, keys: RemoteSigningKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing_keys, "FETCH_TIMEOUT_S", 0.02)
    issuer.gate.clear()
    assert outcome(keys, "old") == "unavailable"
    issuer.now_s += signing_keys.RETRY_PAUSE_S
    assert outcome(keys, "old") == "unavailable"
    assert issuer.fetches == 2
    issuer.gate.set()
    monkeypatch.undo()
    issuer.now_s += signing_keys.RETRY_PAUSE_S
    assert outcome(keys, "old") == "found"


def test_an_answer_that_comes_late_never_replaces_a_newer_one(
    issuer: ScriptedIssuer, keys: RemoteSigningKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing_keys, "FETCH_TIMEOUT_S", 0.02)
    issuer.gate.clear()
    late = issuer.gate
    assert outcome(keys, "old") == "unavailable"
    (hanging,) = [thread for thread in threading.enumerate() if thread.name == "jwks"]
    monkeypatch.undo()
    issuer.gate = threading.Event()
    issuer.gate.set()
    issuer.kids = ("new",)
    issuer.now_s += signing_keys.RETRY_PAUSE_S
    assert outcome(keys, "new") == "found"
    late.set()
    hanging.join()
    assert outcome(keys, "old") == "unknown"


def test_an_issuer_that_withdraws_all_its_keys_is_believed(
    issuer: ScriptedIssuer, keys: RemoteSigningKeys
) -> None:
    keys.key("old")
    issuer.kids = ()
    issuer.now_s += signing_keys.LIFESPAN_S
    assert outcome(keys, "old") == "unknown"
