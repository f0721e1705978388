"""
The state of a LangGraph graph as a run keeps it.

langgraph is a requirement of the user's own tools; nothing imports this module but for a graph.
"""

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
    get_checkpoint_metadata,
)

from agent_catalog.foreign.graph_media import WithoutMedia
from agentrun.domain.media import LoadedMedia

_Typed = tuple[str, bytes]


@dataclass
class _Space:
    """The newest checkpoint of a graph or of one of its subgraphs, and what was written since."""

    id: str
    checkpoint: _Typed
    metadata: _Typed
    parent: str | None
    writes: dict[tuple[str, int], tuple[str, _Typed]] = field(default_factory=dict)


class NewestState(BaseCheckpointSaver[str]):
    """
    A checkpointer for one thread that keeps the newest checkpoint alone, to be written down.

    What a graph did before it is not needed to go on. So there is no travel in time, and channels
    that are made up from their history cannot be used.
    """

    def __init__(self, run_id: str, media: Sequence[LoadedMedia]) -> None:
        """Keep the state of a run, without the files of its request."""
        super().__init__()
        self.serde = WithoutMedia(self.serde, run_id, media)
        self._spaces: dict[str, _Space] = {}

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,  # noqa: ARG002 - inherited; all channels are kept together
    ) -> RunnableConfig:
        """Replace the checkpoint of a graph; see the package."""
        place = config["configurable"]
        namespace = place.get("checkpoint_ns", "")
        self._spaces[namespace] = _Space(
            id=checkpoint["id"],
            checkpoint=self.serde.dumps_typed(checkpoint),
            metadata=self.serde.dumps_typed(get_checkpoint_metadata(config, metadata)),
            parent=place.get("checkpoint_id"),
        )
        return _config(place["thread_id"], namespace, checkpoint["id"])

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",  # noqa: ARG002 - inherited
    ) -> None:
        """Keep what a task has written after the newest checkpoint; see the package."""
        space = self._spaces.get(config["configurable"].get("checkpoint_ns", ""))
        if space is None or space.id != get_checkpoint_id(config):
            return
        for position, (channel, value) in enumerate(writes):
            key = task_id, WRITES_IDX_MAP.get(channel, position)
            if key[1] < 0 or key not in space.writes:
                space.writes[key] = channel, self.serde.dumps_typed(value)

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the newest checkpoint; None if another one is asked for."""
        place = config["configurable"]
        namespace = place.get("checkpoint_ns", "")
        space = self._spaces.get(namespace)
        asked = get_checkpoint_id(config)
        if space is None or asked not in (None, space.id):
            return None
        thread, load = place["thread_id"], self.serde.loads_typed
        return CheckpointTuple(
            config=_config(thread, namespace, space.id),
            checkpoint=load(space.checkpoint),
            metadata=load(space.metadata),
            parent_config=_config(thread, namespace, space.parent) if space.parent else None,
            pending_writes=[
                (task_id, channel, load(value))
                for (task_id, _), (channel, value) in sorted(space.writes.items())
            ],
        )

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Do the same."""
        return self.get_tuple(config)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Do as `put`."""
        return self.put(config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Do as `put_writes`."""
        self.put_writes(config, writes, task_id, task_path)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002, ARG002 - inherited
        before: RunnableConfig | None = None,  # noqa: ARG002 - inherited
        limit: int | None = None,  # noqa: ARG002 - inherited
    ) -> AsyncIterator[CheckpointTuple]:
        """Yield the newest checkpoint."""
        found = self.get_tuple(config) if config else None
        if found is not None:
            yield found

    def written_down(self) -> str:
        """Return the state as text."""
        spaces = {
            namespace: {
                "id": space.id,
                "parent": space.parent,
                "checkpoint": _text(space.checkpoint),
                "metadata": _text(space.metadata),
                "writes": [
                    [task_id, position, channel, *_text(value)]
                    for (task_id, position), (channel, value) in space.writes.items()
                ],
            }
            for namespace, space in self._spaces.items()
        }
        return b64encode(zlib.compress(json.dumps(spaces).encode())).decode()

    def read(self, text: str) -> None:
        """Go on from a state that was written down; ValueError if it is none."""
        try:
            spaces = json.loads(zlib.decompress(b64decode(text, validate=True)))
            self._spaces = {
                namespace: _Space(
                    id=kept["id"],
                    checkpoint=_typed(*kept["checkpoint"]),
                    metadata=_typed(*kept["metadata"]),
                    parent=kept["parent"],
                    writes={
                        (task_id, position): (channel, _typed(kind, value))
                        for task_id, position, channel, kind, value in kept["writes"]
                    },
                )
                for namespace, kept in spaces.items()
            }
        except (zlib.error, KeyError, TypeError, AttributeError) as error:
            raise ValueError("is no state of a graph") from error

    def forget_finished(self) -> None:
        """Forget the subgraphs of finished tasks; between two steps of the graph, none is open."""
        # A subgraph that has a memory of its own is known by its node's name alone.
        self._spaces = {name: space for name, space in self._spaces.items() if ":" not in name}


def _config(thread: str, namespace: str, checkpoint_id: str) -> RunnableConfig:
    place = {"thread_id": thread, "checkpoint_ns": namespace, "checkpoint_id": checkpoint_id}
    return {"configurable": place}


def _text(value: _Typed) -> list[str]:
    return [value[0], b64encode(value[1]).decode()]


def _typed(kind: str, value: str) -> _Typed:
    return kind, b64decode(value)
