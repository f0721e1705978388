"""A command's connection to a deployment."""

from collections.abc import Mapping
from functools import cached_property

from agentrun_cli.connection.target import Given, Target, find_target


class Connection:
    """Finds the deployment when it is first needed."""

    def __init__(self, given: Given, environment: Mapping[str, str]) -> None:
        self.given = given
        self._environment = environment

    @cached_property
    def target(self) -> Target:
        """
        Where requests go, and as whom.

        Raises:
            UsageError: As `find_target`.
        """
        return find_target(self.given, self._environment)
