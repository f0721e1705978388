"""What an Idempotency-Key means to every `RunStore`."""

from datetime import timedelta

import pytest

from agentrun.domain.errors import ConflictError, RunNotFoundError
from agentrun.domain.requests import IdempotencyClaim
from tests.contract.stores import Stores
from tests.runs import AT, a_request, a_run

CLAIM = IdempotencyClaim(key_hash="k", fingerprint="f")


def test_the_same_claim_leads_to_the_first_run(stores: Stores) -> None:
    assert stores.runs.start(a_run(), a_request(), CLAIM) == "run-1"
    assert stores.runs.start(a_run("run-2"), a_request(), CLAIM) == "run-1"
    with pytest.raises(RunNotFoundError):
        stores.runs.get(a_run("run-2").key)


def test_starting_the_same_run_again_with_its_claim_is_safe(stores: Stores) -> None:
    assert stores.runs.start(a_run(), a_request(), CLAIM) == "run-1"
    assert stores.runs.start(a_run(), a_request(), CLAIM) == "run-1"


def test_a_claim_for_another_request_is_a_conflict(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request(), CLAIM)
    other = CLAIM.model_copy(update={"fingerprint": "g"})
    with pytest.raises(ConflictError):
        stores.runs.start(a_run("run-2"), a_request(), other)


def test_another_tenants_claim_is_another_one(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request(), CLAIM)
    theirs = a_run("run-2", org_id="umbrella")
    assert stores.runs.start(theirs, a_request(), CLAIM) == "run-2"


def test_a_claim_is_forgotten_after_a_day(stores: Stores) -> None:
    stores.runs.start(a_run(), a_request(), CLAIM)
    later = AT + timedelta(hours=24, seconds=2)
    tomorrow = a_run("run-2", session_id="s2", created_at=later)
    assert stores.runs.start(tomorrow, a_request(), CLAIM) == "run-2"


def test_a_claim_is_looked_up_without_starting_anything(stores: Stores) -> None:
    claim = IdempotencyClaim(key_hash="k", fingerprint="f")
    assert stores.runs.claimed("acme", claim, at=AT) is None
    stores.runs.start(a_run(), a_request(), claim)
    assert stores.runs.claimed("acme", claim, at=AT + timedelta(hours=23)) == "run-1"
    assert stores.runs.claimed("acme", claim, at=AT + timedelta(hours=25)) is None
    assert stores.runs.claimed("umbrella", claim, at=AT) is None
    other = claim.model_copy(update={"fingerprint": "g"})
    with pytest.raises(ConflictError):
        stores.runs.claimed("acme", other, at=AT)
