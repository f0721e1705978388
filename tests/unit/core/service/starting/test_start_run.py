"""Starting a run: what is refused, and what is stored."""

import threading
from collections.abc import Set
from dataclasses import replace
from uuid import UUID

import pytest

from agentrun.domain.errors import AgentNotFoundError, ForbiddenError, InvalidRequestError
from agentrun.domain.ports import AgentTask
from agentrun.domain.principal import Principal
from agentrun.domain.requests import Media, RunOptions, RunRequest
from agentrun.domain.runs import LEASE_DURATION, AgentRun, Lease
from agentrun.service.starting.start_run import start_run
from tests.rig import ANA, ECHO, WRITE, Rig
from tests.runs import AT, SESSION

pytestmark = pytest.mark.anyio


class StartRig(Rig):
    async def start(
        self, request: RunRequest, *, principal: Principal = ANA, agent_id: str = "echo"
    ) -> tuple[AgentRun, AgentTask]:
        started = await start_run(principal, agent_id, request, ports=self.ports)
        assert started.pending is not None
        return started.pending.run, started.pending.task


@pytest.fixture
def rig() -> StartRig:
    return StartRig()


async def test_a_started_run_is_durable_and_leased(rig: StartRig) -> None:
    run, task = await rig.start(RunRequest(message="hello"))
    assert rig.store.get(run.key) == run
    assert run.lease == Lease(executor="id-3", until=AT + LEASE_DURATION)
    assert (run.id, run.session_id, run.started_at, run.model) == ("id-1", "id-2", AT, "demo")
    assert (task.run_id, task.message, task.agent) == (run.id, "hello", ECHO)


async def test_session_and_caller_may_be_named(rig: StartRig) -> None:
    session = UUID(SESSION)
    request = RunRequest(message="hello", session_id=session, org_id="acme", user_id="ana")
    run, _ = await rig.start(request)
    assert (run.session_id, run.org_id, run.user_id) == (SESSION, "acme", "ana")


@pytest.mark.parametrize(
    ("changes", "scopes"),
    [({"org_id": "umbrella"}, WRITE), ({"user_id": "bob"}, WRITE), ({}, {"runs:read"})],
    ids=["another organisation", "another user", "a reader"],
)
async def test_starting_needs_the_right_to(
    rig: StartRig, changes: dict[str, str], scopes: Set[str]
) -> None:
    caller = ANA.model_copy(update={"scopes": scopes})
    with pytest.raises(ForbiddenError):
        await rig.start(RunRequest(message="hello", **changes), principal=caller)


async def test_a_scope_of_its_own_lets_act_for_another_user(rig: StartRig) -> None:
    request = RunRequest(message="hello", user_id="bob")
    backend = ANA.model_copy(update={"scopes": WRITE | {"runs:impersonate"}})
    run, _ = await rig.start(request, principal=backend)
    assert run.user_id == "bob"


async def test_an_agent_may_ask_for_a_scope_of_its_own(rig: StartRig) -> None:
    with pytest.raises(ForbiddenError, match="agents:guarded"):
        await rig.start(RunRequest(message="hello"), agent_id="guarded")
    for allowed in (
        ANA.model_copy(update={"scopes": WRITE | {"agents:guarded"}}),
        ANA.model_copy(update={"roles": frozenset({"admin"})}),
    ):
        run, _ = await rig.start(RunRequest(message="hello"), principal=allowed, agent_id="guarded")
        assert run.agent_id == "guarded"


@pytest.mark.parametrize("agent_id", ["nobody", "retired"])
async def test_only_active_agents_are_run(rig: StartRig, agent_id: str) -> None:
    with pytest.raises(AgentNotFoundError):
        await rig.start(RunRequest(message="hello"), agent_id=agent_id)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (RunRequest(message="m", options=RunOptions(model="gpt")), "options.model"),
        (RunRequest(message="m", options=RunOptions(system_prompt="p")), "options.systemPrompt"),
        (
            RunRequest(
                message="m",
                media=(Media(type="image/png", data="x"), Media(type="video/mp4", data="x")),
            ),
            "media.1.type",
        ),
    ],
)
async def test_what_an_agent_does_not_take_is_refused_by_name(
    rig: StartRig, request_: RunRequest, field: str
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        await rig.start(request_)
    assert [name for name, _ in refused.value.params] == [field]


class SlowPrices:
    """The port `PriceList` that notes in which thread it is asked."""

    def __init__(self) -> None:
        self.asked_in: list[threading.Thread] = []

    def knows(self, model_id: str) -> bool:
        self.asked_in.append(threading.current_thread())
        return True


async def test_other_runs_do_not_wait_while_prices_are_looked_up(rig: StartRig) -> None:
    prices = SlowPrices()
    rig.ports = replace(rig.ports, prices=prices)
    await rig.start(RunRequest(message="m", options=RunOptions(max_cost_usd=1)))
    await rig.start(RunRequest(message="m", options=RunOptions(max_total_tokens=1)))
    assert len(prices.asked_in) == 1
    assert threading.current_thread() not in prices.asked_in


async def test_a_model_on_the_list_is_used_and_recorded(rig: StartRig) -> None:
    request = RunRequest(message="m", options=RunOptions(model="bedrock:x"))
    run, task = await rig.start(request)
    assert (run.model, task.options.model) == ("bedrock:x", "bedrock:x")
