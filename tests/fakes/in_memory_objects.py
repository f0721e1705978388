"""What is too large for the table, in a dictionary."""

from agentrun.domain.runs import RunKey
from tests.fakes.hooks import Hookable


class InMemoryLargeObjects(Hookable):
    """The port `LargeObjects` in a dictionary."""

    def __init__(self) -> None:
        self.objects: dict[RunKey, dict[str, bytes]] = {}

    def put(self, key: RunKey, name: str, content: bytes) -> None:
        self.objects.setdefault(key, {})[name] = content

    def get(self, key: RunKey, name: str) -> bytes | None:
        return self.objects.get(key, {}).get(name)

    def delete(self, key: RunKey) -> None:
        self.objects.pop(key, None)
