"""Show which agents there are."""

from collections.abc import Sequence

from agentrun.domain.agents import Agent
from agentrun.domain.ports import AgentDirectory


def list_agents(agents: AgentDirectory, *, include_inactive: bool) -> Sequence[Agent]:
    """Return the agents ordered by id; those that cannot be run only when asked for."""
    return [agent for agent in agents.agents() if agent.active or include_inactive]


def find_agent(agents: AgentDirectory, agent_id: str) -> Agent:
    """
    Return one agent, active or not.

    Raises:
        AgentNotFoundError: No agent has this id.
    """
    return agents.agent(agent_id)
