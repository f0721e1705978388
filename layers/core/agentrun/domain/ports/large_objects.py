"""The port for what is too large for the table."""

from typing import Protocol

from agentrun.domain.runs import RunKey


class LargeObjects(Protocol):
    """Keeps bytes beside runs, each under a name of its own; methods block."""

    def put(self, key: RunKey, name: str, content: bytes) -> None:
        """
        Store an object in the place of any earlier one.

        Raises:
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def get(self, key: RunKey, name: str) -> bytes | None:
        """
        Read an object; None where there is none.

        Raises:
            StoreUnavailableError: Retrying is safe.
        """
        ...

    def delete(self, key: RunKey) -> None:
        """
        Delete all objects of a run.

        Raises:
            StoreUnavailableError: Some may be left; retrying is safe.
        """
        ...
