"""The keys that an issuer signs with: handed over once, or fetched and kept."""

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Protocol

from jwt import PyJWK

from agentrun.adapters.tokens.jwks import JwksUnavailableError, verification_keys
from agentrun.domain.errors import IssuerUnavailableError

FETCH_TIMEOUT_S = 2.0
"""How long a caller waits for one fetch, however slowly the issuer answers."""
LIFESPAN_S = 600
"""A key that the issuer has withdrawn is good for no longer, as long as the issuer answers."""
REFRESH_PAUSE_S = 30
"""Between two fetches for unknown keys, and between two tries to replace old ones."""
RETRY_PAUSE_S = 2
"""Between two tries while there is no usable key at all."""
LAST_GOOD_S = 4 * 3600
"""An issuer may be down for this long before its last keys are no longer trusted."""

Fetch = Callable[[float], Mapping[str, PyJWK]]
log = logging.getLogger(__name__)


class UnknownKeyError(Exception):
    """The issuer has no key of this id."""


class SigningKeys(Protocol):
    """Finds the key that a token says it was signed with."""

    def key(self, kid: str) -> PyJWK:
        """
        Return the key of this id, bound to its algorithm.

        Raises:
            UnknownKeyError: There is none.
            IssuerUnavailableError: There may be one; retrying is safe.
        """
        ...

    def kept(self, kid: str) -> PyJWK | None:
        """Return the key of this id if it is good without asking the issuer; never waits."""
        ...


class StaticSigningKeys:
    """Keys that were handed over as a JWKS document."""

    def __init__(self, jwks: object) -> None:
        """
        Read the document.

        Raises:
            ValueError: It is no JWKS document, or no key of it can verify a token.
        """
        self._keys = verification_keys(jwks)
        if not self._keys:
            raise ValueError("The JWKS has no key with a kid for RS256, ES256 or EdDSA.")

    def key(self, kid: str) -> PyJWK:
        """Return the key of this id."""
        try:
            return self._keys[kid]
        except KeyError:
            raise UnknownKeyError from None

    def kept(self, kid: str) -> PyJWK | None:
        """Return the key of this id."""
        return self._keys.get(kid)


@dataclass
class _Fetch:
    """One request to the issuer; `failed` counts once it has landed."""

    began_s: float
    landed: Event = field(default_factory=Event)
    failed: bool = True


@dataclass(frozen=True)
class _Keys:
    """What the issuer published at a time, on the verifier's own clock."""

    by_id: Mapping[str, PyJWK]
    as_of_s: float


class RemoteSigningKeys:
    """
    Keys that the issuer publishes, fetched when they are needed and kept for ten minutes.

    All who need the issuer at one moment share one fetch. An unknown key is asked for at once, but
    a flood of tokens with made-up ones comes to one fetch in 30 s: a key that is signed with in the
    30 s after a made-up one, or before it is published, may be refused for that long. While the
    issuer does not answer, its last keys are good for up to four hours.
    """

    def __init__(self, fetch: Fetch, *, clock: Callable[[], float] = time.monotonic) -> None:
        """
        Wait to be asked.

        Args:
            fetch: Asks the issuer, given a time-out in seconds; raises `JwksUnavailableError`.
            clock: Seconds that never go backwards.
        """
        self._fetch = fetch
        self._clock = clock
        self._lock = Lock()
        self._keys = _Keys({}, -math.inf)
        self._latest = _Fetch(-math.inf)
        self._latest.landed.set()
        self._asked_for_unknown_s = -math.inf

    def key(self, kid: str) -> PyJWK:
        """Return the key of this id; waits for the issuer for up to 4 s."""
        arrived_s = self._clock()
        fetch = self._refreshed(kid)
        key = self._usable(kid)
        if key is None and fetch.began_s < arrived_s:
            # Somebody else's fetch may have looked just before this key was published.
            fetch = self._refreshed(kid)
            key = self._usable(kid)
        if key is not None:
            return key
        if fetch.failed:
            raise IssuerUnavailableError
        raise UnknownKeyError

    def kept(self, kid: str) -> PyJWK | None:
        """Return the key of this id, unless it is time to ask the issuer again."""
        keys = self._keys
        return keys.by_id.get(kid) if self._clock() - keys.as_of_s < LIFESPAN_S else None

    def _usable(self, kid: str) -> PyJWK | None:
        keys = self._keys
        return keys.by_id.get(kid) if self._clock() - keys.as_of_s < LAST_GOOD_S else None

    def _refreshed(self, kid: str) -> _Fetch:
        """Fetch if it is time to, and wait if this key is worth waiting for."""
        with self._lock:
            now_s = self._clock()
            # Whether the last one has landed does not count: it may hang, or have been frozen with
            # its process.
            begins = self._is_due(kid, now_s)
            if begins:
                self._begin(now_s)
            fetch = self._latest
        if begins or self._usable(kid) is None:
            fetch.landed.wait(FETCH_TIMEOUT_S)
        return fetch

    def _is_due(self, kid: str, now_s: float) -> bool:
        age_s = now_s - self._keys.as_of_s
        if age_s >= LAST_GOOD_S:
            return now_s - self._latest.began_s >= RETRY_PAUSE_S
        if age_s >= LIFESPAN_S:
            return now_s - self._latest.began_s >= REFRESH_PAUSE_S
        if kid in self._keys.by_id or now_s - self._asked_for_unknown_s < REFRESH_PAUSE_S:
            return False
        self._asked_for_unknown_s = now_s
        return True

    def _begin(self, now_s: float) -> None:
        self._latest = _Fetch(now_s)
        # A thread of its own, because resolving a name cannot be timed out.
        Thread(target=self._ask, args=(self._latest,), name="jwks", daemon=True).start()

    def _ask(self, fetch: _Fetch) -> None:
        try:
            keys = _Keys(self._fetch(FETCH_TIMEOUT_S), fetch.began_s)
            with self._lock:
                if keys.as_of_s >= self._keys.as_of_s:
                    self._keys = keys
            fetch.failed = False
            if not keys.by_id:
                log.warning("the issuer publishes no key that can verify a token")
        except JwksUnavailableError as error:
            log.warning("the issuer's keys could not be fetched", extra={"reason": str(error)})
        finally:
            fetch.landed.set()
