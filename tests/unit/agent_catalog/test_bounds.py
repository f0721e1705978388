"""What an agent's file says of how often, how long and for how much its runs are executed."""

from pathlib import Path

import pytest

from agent_catalog import load_catalog
from agentrun.domain.agents import Agent, Replay
from agentrun.domain.requests import Budget
from tests.unit.agent_catalog.test_catalog import CALCULATE, MINIMAL, SAMPLES, write


def loaded(folder: Path, text: str) -> Agent:
    return load_catalog("demo", write(folder, text)).agent("agent")


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("90", 90), ("90s", 90), ("15m", 900), ("1.5 h", 5_400), ("24h", 86_400)],
)
def test_a_duration_is_in_seconds_unless_it_says_its_unit(
    tmp_path: Path, written: str, seconds: float
) -> None:
    agent = loaded(tmp_path, f"{MINIMAL}max_duration: {written}\n")
    assert agent.max_duration_s == seconds


def test_what_bounds_a_run_is_the_agents(tmp_path: Path) -> None:
    plain = loaded(tmp_path, MINIMAL)
    assert (plain.max_attempts, plain.max_duration_s, plain.on_budget) == (3, 900, "fail")
    assert plain.budget == Budget()
    bounds = "max_attempts: 1\non_budget: pause\nlimits: {cost_limit: 0.5, total_tokens_limit: 9}"
    bounded = loaded(tmp_path, f"{MINIMAL}{bounds}\n")
    assert (bounded.max_attempts, bounded.on_budget) == (1, "pause")
    assert bounded.budget == Budget(max_cost_usd=0.5, max_total_tokens=9)


def test_a_tool_must_not_run_twice_unless_the_file_allows_it(tmp_path: Path) -> None:
    tools = f"tools: ['{CALCULATE}', '{SAMPLES}:add', '{SAMPLES}:whose']"
    agent = loaded(tmp_path, f"{MINIMAL}{tools}\nreplay: {{calculate: safe, add: idempotent}}")
    assert [tool.replay for tool in agent.tools] == [Replay.SAFE, Replay.IDEMPOTENT, Replay.NEVER]
