"""
Files of a request in a LangGraph graph's messages, and a state that is kept without them.

langgraph is a requirement of the user's own tools; nothing imports this module but for a graph.
"""

import mimetypes
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.messages import BaseMessage
from langgraph.checkpoint.serde.base import SerializerProtocol

from agentrun.domain.media import LoadedMedia

_Block = dict[str, Any]
_PLACE = "agentrun_media"
"""Marks a text that stands for a file; its value says for which."""
_KINDS = ("image", "audio", "video")


def blocks_of(media: Sequence[LoadedMedia]) -> list[_Block]:
    """Return files as LangChain's standard content blocks, in their order."""
    return [_block(number, each) for number, each in enumerate(media, 1)]


def _block(number: int, media: LoadedMedia) -> _Block:
    kind = media.type.partition("/")[0]
    held = {"base64": b64encode(media.data).decode(), "mime_type": media.type}
    if kind in _KINDS:
        return {"type": kind, **held}
    # OpenAI's models take no file without a name.
    name = f"file-{number}{mimetypes.guess_extension(media.type) or ''}"
    return {"type": "file", **held, "extras": {"filename": name}}


class WithoutMedia:
    """
    Writes a graph's state without the run's files, and puts them back when it is read.

    They are stored with the request. In the state they would be written again with each step and
    each turn, by the megabyte. A later turn is shown their types, as with other agents.
    """

    def __init__(
        self, inner: SerializerProtocol, run_id: str, media: Sequence[LoadedMedia]
    ) -> None:
        """Write what `inner` writes; files are those of this run."""
        self._inner = inner
        self._places = {f"{run_id}/{at}": block for at, block in enumerate(blocks_of(media))}
        self._texts = {
            str(block["base64"]): _text(place, each)
            for (place, block), each in zip(self._places.items(), media, strict=True)
        }

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """Write a value; see the package."""
        return self._inner.dumps_typed(_in_blocks(obj, self._without))

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Read a value; see the package."""
        return _in_blocks(self._inner.loads_typed(data), self._with)

    def _without(self, block: _Block) -> _Block:
        held = block.get("base64")
        return self._texts.get(held, block) if isinstance(held, str) else block

    def _with(self, block: _Block) -> _Block:
        place = block.get(_PLACE)
        if not isinstance(place, str):
            return block
        return self._places.get(place) or {"type": "text", "text": block["text"]}


def _text(place: str, media: LoadedMedia) -> _Block:
    return {"type": "text", "text": f"[{media.type}, {len(media.data)} bytes]", _PLACE: place}


def _in_blocks(value: Any, change: Callable[[_Block], _Block]) -> Any:
    """Return a value of a state with the blocks of its messages changed."""
    if isinstance(value, BaseMessage):
        if isinstance(value.content, str):
            return value
        content = [change(block) if isinstance(block, dict) else block for block in value.content]
        return value if content == value.content else value.model_copy(update={"content": content})
    if type(value) in (list, tuple):
        return type(value)(_in_blocks(item, change) for item in value)
    if type(value) is dict:
        return {key: _in_blocks(item, change) for key, item in value.items()}
    return value
