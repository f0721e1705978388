"""An agent as its callers see it."""

from agentrun.domain.errors import AgentNotFoundError, BrokenAgentError
from agentrun.domain.value import Value


class AgentTool(Value):
    """A tool that an agent may call."""

    name: str
    description: str
    requires_approval: bool = False


class Agent(Value):
    """
    What an agent is and takes; how it is run is the engine's business.

    `model` is the one used by default, `models` are those a request may choose, `media` the MIME
    types that it accepts, `custom_system_prompt` whether a request may replace its instructions,
    `required_scope` what a caller's token needs beside the right to run agents at all, `fault` why
    its definition is broken, for the log alone.
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
        Refuse to run what callers may not run.

        Raises:
            BrokenAgentError: Its definition is broken.
            AgentNotFoundError: It is inactive, which looks like a missing one.
        """
        self.check_not_broken()
        if not self.active:
            raise AgentNotFoundError(self.id)

    def check_not_broken(self) -> None:
        """Raise BrokenAgentError where the definition is broken."""
        if self.fault is not None:
            raise BrokenAgentError(self.id, self.fault)
