"""An agent as its callers see it."""

from collections.abc import Sequence

from agentrun.domain.errors import AgentNotFoundError, BrokenAgentError
from agentrun.domain.value import Value


class AgentTool(Value):
    """A tool that an agent may call."""

    name: str
    description: str
    requires_approval: bool = False


class Agent(Value):
    """
    What an agent is and takes; only the engine knows how it is run.

    `model` is the default, `models` are those a request may choose, `media` the MIME types that it
    accepts. `custom_system_prompt` says whether a request may replace its instructions.
    `required_scope` is what a caller's token needs beside the right to run agents. `fault` says for
    the log why the definition is broken.
    """

    id: str
    name: str
    description: str
    model: str
    models: tuple[str, ...]
    active: bool = True
    tools: tuple[AgentTool, ...] = ()
    media: tuple[str, ...] = ()
    custom_system_prompt: bool = False
    required_scope: str | None = None
    fault: str | None = None

    def check_can_run(self) -> None:
        """
        Check that callers may run the agent.

        Raises:
            BrokenAgentError: Its definition is broken.
            AgentNotFoundError: It is inactive; to callers it looks missing.
        """
        self.check_not_broken()
        if not self.active:
            raise AgentNotFoundError(self.id)

    def check_not_broken(self) -> None:
        """Raise BrokenAgentError if the definition is broken."""
        if self.fault is not None:
            raise BrokenAgentError(self.id, self.fault)


def listed(agents: Sequence[Agent], *, include_inactive: bool) -> list[Agent]:
    """Return the agents that callers are shown: inactive ones only if they ask for them."""
    return [agent for agent in agents if agent.active or include_inactive]
