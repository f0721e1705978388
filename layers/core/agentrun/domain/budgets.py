"""What a run may spend: whether it has, and how somebody who continues it may raise it."""

from collections.abc import Iterator

from agentrun.domain.agents import Agent
from agentrun.domain.approvals import ApprovalAction, ContinueRequest
from agentrun.domain.errors import BrokenAgentError, InvalidRequestError
from agentrun.domain.events import Metrics
from agentrun.domain.ports.agents import PriceList
from agentrun.domain.requests import Budget, RunOptions

LIMITS = {"max_cost_usd": "maxCostUsd", "max_total_tokens": "maxTotalTokens"}
"""The limits of a budget, and what callers call them."""


def budget_of_run(agent: Agent, options: RunOptions) -> Budget:
    """Return what a new run may spend: what its request says, and never more than its agent's."""
    return agent.budget.within(options)


def check_budget(agent: Agent, options: RunOptions, prices: PriceList) -> None:
    """
    Refuse a run whose budget is money where the price of its model is not known.

    The prices are only asked for such a run: reading them takes a third of a second once.

    Args:
        agent: The agent, whose models `options` names one of.
        options: The request's.
        prices: Who knows what models cost.

    Raises:
        InvalidRequestError: The request limits the cost, or has chosen the model.
        BrokenAgentError: The agent's own file does both.
    """
    if budget_of_run(agent, options).max_cost_usd is None:
        return
    model = options.model or agent.model
    if prices.knows(model):
        return
    message = f"The cost of the model '{model}' is not known, so that it cannot be limited."
    if options.max_cost_usd is not None:
        reason = "the cost of the model is not known; use maxTotalTokens"
        raise InvalidRequestError(message, params=[("options.maxCostUsd", reason)])
    if options.model is not None:
        reason = "its cost is not known, and the agent's runs have a budget in US dollars"
        raise InvalidRequestError(message, params=[("options.model", reason)])
    raise BrokenAgentError(agent.id, message)


def spent(budget: Budget, used: Metrics) -> str | None:
    """
    Tell whether a run may not ask a model again, since it has reached a limit.

    A figure that is not known counts as 0: there is none before the first answer, and models that
    cost nothing never have a cost. A run whose model's price is not known has no limit of its cost,
    see `check_budget`.

    Args:
        budget: What the run may spend, all its executions together.
        used: The run's figures so far, those from before a pause included.

    Returns:
        The sentence for the caller, which says which limit, what was used and what was allowed;
        None if there is something left.
    """
    reached = [
        f"{used_up} {unit} of {limit} ({LIMITS[name]})"
        for name, unit, used_up, limit in _measured(budget, used)
    ]
    return f"The run has spent its budget: {' and '.join(reached)}." if reached else None


def _measured(budget: Budget, used: Metrics) -> Iterator[tuple[str, str, str, str]]:
    """Yield the limits that are reached: name, unit, used, limit."""
    cost, tokens = used.cost_usd or 0.0, used.total_tokens or 0
    if budget.max_cost_usd is not None and cost >= budget.max_cost_usd:
        yield "max_cost_usd", "US dollars", _dollars(cost), _dollars(budget.max_cost_usd)
    if budget.max_total_tokens is not None and tokens >= budget.max_total_tokens:
        yield "max_total_tokens", "tokens", str(tokens), str(budget.max_total_tokens)


def _dollars(amount: float) -> str:
    """Write an amount to a millionth of a dollar, smaller ones to two digits, never as 1e-05."""
    if 0 < amount < 1e-6:
        return f"{amount:.12f}".rstrip("0")
    return f"{amount:.6f}".rstrip("0").rstrip(".")


def raised_budget(request: ContinueRequest, budget: Budget, used: Metrics) -> Budget | None:
    """
    Return what a run may spend that is paused because it has spent its budget.

    APPROVE needs a budget. A limit that it names takes the place of the earlier one and may be
    above the agent's own: with `on_budget: pause` the agent leaves that to who continues its runs.
    Limits that it does not name stay. REJECT means that no more is to be spent: the run ends as
    it would have without the pause, FAILED with BUDGET_EXCEEDED and what it had said; CANCELLED
    would mean that the caller does not want it any more, which is what cancelling is for.

    Args:
        request: The continuation.
        budget: What the run could spend until now.
        used: What it has spent.

    Returns:
        The budget of the whole run, earlier executions included; None for REJECT.

    Raises:
        InvalidRequestError: There are `decisions`, which are of calls; APPROVE comes without a
            budget; REJECT comes with one; or the budget is not above what is spent.
    """
    if request.action is None:
        raise InvalidRequestError(
            "The run waits for a budget, not for decisions on calls.",
            params=[("action", "is needed, in place of decisions")],
        )
    if request.action is ApprovalAction.REJECT:
        check_no_budget(request, "is not for REJECT, after which nothing is spent")
        return None
    given = request.budget or Budget()
    if given == Budget():
        raise InvalidRequestError(
            "The run has spent its budget and needs a larger one to go on.",
            params=[("budget", f"is needed: {' or '.join(LIMITS.values())}, or both")],
        )
    raised = budget.model_copy(
        update={name: limit for name in LIMITS if (limit := getattr(given, name)) is not None}
    )
    _check_above(raised, used)
    return raised


def check_no_budget(
    request: ContinueRequest, reason: str = "is only for a run that has spent its budget"
) -> None:
    """
    Refuse a budget where none is asked for.

    Raises:
        InvalidRequestError: The continuation has one.
    """
    if request.budget is not None:
        raise InvalidRequestError(f"The budget {reason}.", params=[("budget", reason)])


def _check_above(budget: Budget, used: Metrics) -> None:
    faults = [
        (f"budget.{LIMITS[name]}", f"must be above {used_up}, which is spent")
        for name, _, used_up, _ in _measured(budget, used)
    ]
    if faults:
        raise InvalidRequestError(f"{spent(budget, used)} It needs a larger one.", params=faults)
