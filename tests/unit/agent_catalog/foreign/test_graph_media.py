"""Files of a request reach a graph, and are not stored again with its state."""

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from agent_catalog.foreign.graph_media import blocks_of
from agentrun.domain.errors import HandedOverError
from agentrun.domain.media import LoadedMedia
from agentrun.domain.steps import Answered, StepContent
from agentrun.domain.turns import TurnEnded, TurnPaused
from tests.unit.agent_catalog.foreign.graph_rig import Rig, yes

pytestmark = pytest.mark.anyio

IMAGE = LoadedMedia(type="image/png", data=b"\x89PNG\r\n\x1a\n")
PDF = LoadedMedia(type="application/pdf", data=b"%PDF-1.7\n%%EOF")
SEEN = "Look; image image/png 12; file application/pdf 20. "


def rig_in(folder: Path) -> Rig:
    return Rig(folder, "seeing", "media: [image/png, application/pdf]\n")


def state_in(text: str) -> bytes:
    """Return what LangGraph's serializer has written, all of it in one."""
    spaces = json.loads(zlib.decompress(base64.b64decode(json.loads(text)["state"])))
    held = [space["checkpoint"][1] for space in spaces.values()]
    held += [write[-1] for space in spaces.values() for write in space["writes"]]
    return b"".join(base64.b64decode(each) for each in held)


def test_files_are_standard_blocks_in_the_order_of_the_request() -> None:
    sound, film = (LoadedMedia(type=kind, data=b"x") for kind in ("audio/wav", "video/mp4"))
    blocks = blocks_of([IMAGE, PDF, sound, film])
    assert blocks[:2] == [
        {"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/png"},
        {
            "type": "file",
            "base64": "JVBERi0xLjcKJSVFT0Y=",
            "mime_type": "application/pdf",
            "extras": {"filename": "file-2.pdf"},
        },
    ]
    assert [block["type"] for block in blocks[2:]] == ["audio", "video"]
    # LangChain takes them for what they are.
    content: list[str | dict[Any, Any]] = [{"type": "text", "text": "Look"}, *blocks]
    assert HumanMessage(content).content_blocks == content


async def test_a_graph_sees_them_in_each_step_and_after_a_pause(tmp_path: Path) -> None:
    rig = rig_in(tmp_path)
    paused = await rig.run("Look", media=(IMAGE, PDF))
    assert rig.text == SEEN
    await rig.decide(paused, yes(paused), media=(IMAGE, PDF))
    assert rig.text.endswith(SEEN)


async def test_another_executor_sees_them_too_and_no_step_holds_them(tmp_path: Path) -> None:
    rig = rig_in(tmp_path)
    kept: list[StepContent] = []

    async def keep(content: StepContent) -> None:
        kept.append(content)

    def may_ask() -> bool:
        if kept:
            raise HandedOverError
        return True

    with pytest.raises(HandedOverError):
        await rig.run("Look", keeping=keep, may_ask=may_ask, media=(IMAGE, PDF))
    (step,) = kept
    assert isinstance(step, Answered)
    assert b"[image/png, 8 bytes]" in state_in(step.message)
    assert b"iVBORw0KGgo" not in state_in(step.message)
    steps = tuple(rig.host.steps)
    paused = await rig.run("Look", steps=steps, media=(IMAGE, PDF))
    assert isinstance(paused, TurnPaused)
    assert b"JVBERi0xLjcK" not in state_in(paused.state)
    await rig.decide(paused, yes(paused), media=(IMAGE, PDF))
    assert rig.text.endswith(SEEN)


async def test_a_later_turn_is_shown_what_they_were(tmp_path: Path) -> None:
    rig = rig_in(tmp_path)
    paused = await rig.run("Look", media=(IMAGE, PDF))
    ending = await rig.decide(paused, yes(paused), media=(IMAGE, PDF))
    assert isinstance(ending, TurnEnded)
    rig.past("Look", rig.text, ending.messages)
    # A file of the same name in another run is another file.
    await rig.run("And this", run_id="run-2", media=(PDF,))
    was = "Look; [image/png, 8 bytes]; [application/pdf, 14 bytes]"
    assert rig.text == f"{was}; And this; file application/pdf 20. "
