"""What a run may spend, when it has, and how a continuation raises it."""

import pytest

from agentrun.domain.agents import Agent
from agentrun.domain.approvals import ContinueRequest
from agentrun.domain.budgets import (
    budget_of_run,
    check_budget,
    check_no_budget,
    raised_budget,
    spent,
)
from agentrun.domain.errors import BrokenAgentError, InvalidRequestError
from agentrun.domain.events import Metrics
from agentrun.domain.requests import Budget, RunOptions


class Prices:
    """A price list on which stand these models; asking it for anything is noted."""

    def __init__(self, *model_ids: str) -> None:
        self._model_ids = model_ids
        self.asked: list[str] = []

    def knows(self, model_id: str) -> bool:
        """Tell whether the model stands there."""
        self.asked.append(model_id)
        return model_id in self._model_ids


NONE = Budget()


def agent(budget: Budget = NONE) -> Agent:
    """Return an agent with two models."""
    return Agent(
        id="clerk",
        name="Clerk",
        description="Works.",
        model="known",
        models=("known", "unknown"),
        budget=budget,
    )


def test_a_request_spends_no_more_than_its_agent_allows() -> None:
    own = Budget(max_cost_usd=1.0, max_total_tokens=1000)
    asked = RunOptions(max_cost_usd=5.0, max_total_tokens=10, temperature=1)
    assert budget_of_run(agent(own), asked) == Budget(max_cost_usd=1.0, max_total_tokens=10)
    assert budget_of_run(agent(own), RunOptions()) == own


@pytest.mark.parametrize(
    ("budget", "used", "sentence"),
    [
        (Budget(), Metrics(total_tokens=10**9, cost_usd=99.0), None),
        (Budget(max_total_tokens=100), Metrics(total_tokens=99), None),
        (Budget(max_total_tokens=100), Metrics(), None),
        (Budget(max_cost_usd=0.1), Metrics(total_tokens=10**9), None),
        (
            Budget(max_total_tokens=100),
            Metrics(total_tokens=100),
            "The run has spent its budget: 100 tokens of 100 (maxTotalTokens).",
        ),
        (
            Budget(max_cost_usd=0.00001, max_total_tokens=100),
            Metrics(total_tokens=120, cost_usd=0.000013),
            (
                "The run has spent its budget: 0.000013 US dollars of 0.00001 (maxCostUsd)"
                " and 120 tokens of 100 (maxTotalTokens)."
            ),
        ),
        (
            Budget(max_cost_usd=1e-9),
            Metrics(cost_usd=2.5),
            "The run has spent its budget: 2.5 US dollars of 0.000000001 (maxCostUsd).",
        ),
    ],
)
def test_a_budget_is_spent_once_a_limit_is_reached(
    budget: Budget, used: Metrics, sentence: str | None
) -> None:
    assert spent(budget, used) == sentence


def test_a_cost_can_only_be_limited_where_it_is_known() -> None:
    check_budget(agent(), RunOptions(max_cost_usd=1.0), Prices("known"))
    with pytest.raises(InvalidRequestError, match="cost of the model 'unknown'") as caught:
        check_budget(agent(), RunOptions(max_cost_usd=1.0, model="unknown"), Prices("known"))
    assert [name for name, _ in caught.value.params] == ["options.maxCostUsd"]


def test_a_model_without_a_price_is_not_for_an_agent_that_limits_its_cost() -> None:
    own = Budget(max_cost_usd=1.0)
    with pytest.raises(InvalidRequestError) as caught:
        check_budget(agent(own), RunOptions(model="unknown"), Prices("known"))
    assert [name for name, _ in caught.value.params] == ["options.model"]
    with pytest.raises(BrokenAgentError):
        check_budget(agent(own), RunOptions(), Prices())


def test_prices_are_not_read_for_runs_that_limit_no_cost() -> None:
    prices = Prices()
    check_budget(agent(Budget(max_total_tokens=5)), RunOptions(model="unknown"), prices)
    assert prices.asked == []


USED = Metrics(total_tokens=120, cost_usd=0.5)
BUDGET = Budget(max_cost_usd=2.0, max_total_tokens=100)


def test_a_continuation_raises_the_limits_that_it_names() -> None:
    request = ContinueRequest.model_validate(
        {"action": "APPROVE", "budget": {"maxTotalTokens": 121}}
    )
    assert raised_budget(request, BUDGET, USED) == Budget(max_cost_usd=2.0, max_total_tokens=121)


def test_a_rejected_budget_is_none() -> None:
    request = ContinueRequest.model_validate({"action": "REJECT"})
    assert raised_budget(request, BUDGET, USED) is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"action": "APPROVE"}, "budget"),
        ({"action": "APPROVE", "budget": {}}, "budget"),
        ({"action": "APPROVE", "budget": {"maxTotalTokens": 120}}, "budget.maxTotalTokens"),
        ({"action": "APPROVE", "budget": {"maxCostUsd": 9}}, "budget.maxTotalTokens"),
        (
            {"action": "APPROVE", "budget": {"maxTotalTokens": 500, "maxCostUsd": 0.5}},
            "budget.maxCostUsd",
        ),
        ({"action": "REJECT", "budget": {"maxTotalTokens": 500}}, "budget"),
        ({"decisions": [{"id": "c1", "action": "APPROVE"}]}, "action"),
    ],
)
def test_a_continuation_that_could_not_spend_anything_is_refused(
    body: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        raised_budget(ContinueRequest.model_validate(body), BUDGET, USED)
    assert [name for name, _ in caught.value.params] == [field]


def test_only_a_run_that_has_spent_its_budget_takes_another() -> None:
    check_no_budget(ContinueRequest.model_validate({"action": "APPROVE"}))
    body = {"action": "APPROVE", "budget": {"maxTotalTokens": 500}}
    with pytest.raises(InvalidRequestError, match="only for a run that has spent its budget"):
        check_no_budget(ContinueRequest.model_validate(body))
