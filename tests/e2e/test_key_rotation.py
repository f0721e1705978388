"""An issuer changes its keys, and goes away, while requests flow."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from agentrun.adapters.tokens.jwks import JwksEndpoint
from agentrun.adapters.tokens.signing_keys import LIFESPAN_S, REFRESH_PAUSE_S, RemoteSigningKeys
from agentrun.adapters.tokens.verifier import JwtVerifier
from agentrun.domain.errors import AgentrunError, UnauthenticatedError
from tests.e2e.conftest import ROOT, LocalStack, running_stack, wait_until
from tests.http_server import send
from tests.issuer_server import Issuer, running_issuer

THREADS = 6
ROTATIONS = 20


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as issuer:
        yield issuer


class Traffic:
    """Threads that verify tokens by every key that the issuer signs with at the moment."""

    def __init__(self, issuer: Issuer) -> None:
        self.now_s = 0.0
        keys = RemoteSigningKeys(JwksEndpoint(issuer.jwks_url).fetch, clock=lambda: self.now_s)
        self.verifier = JwtVerifier(keys, issuer=issuer.url, audience="agentrun")
        self.signing: tuple[str, ...] = ()
        self.good: list[str] = []
        self.refused: list[AgentrunError] = []
        self._issuer = issuer
        self._rounds = [0] * THREADS
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._flow, args=(n,)) for n in range(THREADS)]

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def sign_with(self, *kids: str) -> None:
        """Change the keys; returns once every thread has gone round with the new ones."""
        self.signing = kids
        self.pass_round(2)

    def pass_round(self, times: int) -> None:
        """Wait until every thread has verified so many tokens more."""
        aims = [rounds + times for rounds in self._rounds]
        wait_until(
            lambda: all(a <= b for a, b in zip(aims, self._rounds, strict=True)), "all go round"
        )

    def _flow(self, number: int) -> None:
        choose = random.Random(number).choice
        while not self._stop.is_set():
            kid = choose(self.signing)
            try:
                self.verifier.verify(self._issuer.token(kid))
                self.good.append(kid)
            except AgentrunError as error:
                self.refused.append(error)
            self._rounds[number] += 1


def rotate(issuer: Issuer, traffic: Traffic, old: str, new: str) -> None:
    """Publish a key and sign with it at once, beside the old one; then take the old one away."""
    issuer.add_key(new)
    issuer.published = (old, new)
    traffic.sign_with(old, new)
    traffic.pass_round(10)
    traffic.sign_with(new)
    issuer.published = (new,)


def test_no_good_token_is_refused_while_keys_are_rotated(issuer: Issuer) -> None:
    issuer.add_key("key-0")
    issuer.published = ("key-0",)
    traffic = Traffic(issuer)
    traffic.signing = ("key-0",)
    with traffic:
        for number in range(ROTATIONS):
            rotate(issuer, traffic, f"key-{number}", f"key-{number + 1}")
            # A new key every minute or every ten: within the cached keys' life, and beyond it.
            traffic.now_s += LIFESPAN_S if number % 3 == 0 else 2 * REFRESH_PAUSE_S
            traffic.pass_round(2)
    print(  # noqa: T201 - what the run came to
        f"{ROTATIONS} rotations, {THREADS} threads: {len(traffic.good)} good tokens verified, "
        f"{len(traffic.refused)} refused, {len(issuer.paths)} fetches"
    )
    assert traffic.refused == []
    assert set(traffic.good) == {f"key-{number}" for number in range(ROTATIONS + 1)}
    assert ROTATIONS < len(issuer.paths) <= 2 * ROTATIONS + 1
    traffic.now_s += LIFESPAN_S
    for number in range(ROTATIONS):
        with pytest.raises(UnauthenticatedError):
            traffic.verifier.verify(issuer.token(f"key-{number}"))


def test_a_key_published_30_seconds_ahead_survives_a_flood_of_made_up_ones(issuer: Issuer) -> None:
    issuer.add_key("key-0")
    issuer.add_key("made-up")
    issuer.published = ("key-0",)
    traffic = Traffic(issuer)
    traffic.signing = ("key-0",)
    with traffic:
        for number in range(ROTATIONS):
            new = f"key-{number + 1}"
            issuer.add_key(new)
            issuer.published = (f"key-{number}", new)
            traffic.now_s += REFRESH_PAUSE_S
            for _ in range(10):
                with pytest.raises(UnauthenticatedError):
                    traffic.verifier.verify(issuer.token("made-up"))
            traffic.sign_with(f"key-{number}", new)
            traffic.sign_with(new)
            issuer.published = (new,)
    assert traffic.refused == []
    assert len(issuer.paths) <= ROTATIONS + 2


# Neither touches the table: the one needs a good token only, the other an agent that exists.
ASK: dict[str, Callable[[LocalStack, dict[str, str]], httpx.Response]] = {
    "rest_api": lambda stack, headers: httpx.get(f"{stack.rest_api}/api/agents", headers=headers),
    "function_url": lambda stack, headers: httpx.post(
        f"{stack.function_url}/api/agents/nobody/runs", headers=headers, json={"message": "hi"}
    ),
}
ACCEPTED = {"rest_api": 200, "function_url": 404}


@pytest.fixture
def stack(issuer: Issuer, tmp_path: Path) -> Iterator[LocalStack]:
    """Run this project's own stack, which trusts the issuer."""
    parameters = (f"Issuer={issuer.url}", f"JwksUrl={issuer.jwks_url}")
    options = [option for pair in parameters for option in ("--parameter", pair)]
    with running_stack(ROOT / "template.yaml", tmp_path, *options) as stack:
        yield stack


def statuses(stack: LocalStack, token: str) -> dict[str, int]:
    headers = {"Authorization": f"Bearer {token}"}
    return {door: ask(stack, headers).status_code for door, ask in ASK.items()}


def test_both_doors_follow_their_issuer(issuer: Issuer, stack: LocalStack) -> None:
    def fresh(kid: str) -> dict[str, int]:
        # Never the same token twice, which the gateway would not ask about again.
        return statuses(stack, issuer.token(kid, jti=str(time.monotonic_ns())))

    issuer.add_key("first")
    issuer.add_key("second")
    issuer.add_key("never published")
    issuer.answer = lambda handler: send(handler, 500)
    headers = {"Authorization": f"Bearer {issuer.token('first')}"}
    unavailable = {door: ask(stack, headers) for door, ask in ASK.items()}
    assert unavailable["function_url"].status_code == 503
    assert unavailable["function_url"].headers["retry-after"]
    assert unavailable["rest_api"].is_server_error

    issuer.answer = issuer.publish
    issuer.published = ("first",)
    wait_until(lambda: fresh("first") == ACCEPTED, "the issuer is found again")

    issuer.published = ("first", "second")
    assert fresh("second") == ACCEPTED
    assert fresh("first") == ACCEPTED
    assert fresh("never published") == {"rest_api": 401, "function_url": 401}

    issuer.answer = lambda handler: send(handler, 500)
    assert fresh("second") == ACCEPTED
    assert fresh("first") == ACCEPTED
