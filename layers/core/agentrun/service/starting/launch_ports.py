"""What starting, continuing and executing runs needs beside the runs themselves."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from agentrun.domain.media import MediaLoader
from agentrun.domain.ports import AgentDirectory, ArgumentChecker, ConversationStore
from agentrun.service.ports import RunPorts
from agentrun.service.reading.places import ReaderPlaces
from agentrun.service.starting.slots import RunSlots

APPROVAL_EXPIRY = timedelta(hours=24)


@dataclass(frozen=True)
class LaunchPorts:
    """
    Which agents there are and what their tools take, where runs and conversations are kept, how
    many runs and readers there may be at once, and where media come from.

    `new_id` gives fresh ids for runs, sessions and executors; `approval_expiry` is how long a pause
    waits for its decision.
    """

    agents: AgentDirectory
    conversations: ConversationStore
    media_loader: MediaLoader
    runs: RunPorts
    slots: RunSlots
    readers: ReaderPlaces
    arguments: ArgumentChecker
    new_id: Callable[[], str]
    approval_expiry: timedelta = APPROVAL_EXPIRY
