"""Media at Bedrock: what boto3 sends for each type, through the deployed engine."""

from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from agentrun.domain.media import LoadedMedia
from tests.bedrock import BedrockServer, Reply, Text
from tests.bedrock.engine_run import Runner

pytestmark = pytest.mark.anyio

MODEL = "bedrock:eu.anthropic.claude-haiku-4-5-20251001-v1:0"
BLOCKS = {
    "image/png": ("image", "png"),
    "image/jpeg": ("image", "jpeg"),
    "image/gif": ("image", "gif"),
    "image/webp": ("image", "webp"),
    "application/pdf": ("document", "pdf"),
    "text/plain": ("document", "txt"),
    "text/csv": ("document", "csv"),
    "text/markdown": ("document", "md"),
    "text/html": ("document", "html"),
}
BYTES = bytes(range(256))


@pytest.fixture
def bedrock(bedrock: BedrockServer) -> BedrockServer:
    bedrock.script(Reply(Text("I see.")))
    return bedrock


async def sent(bedrock: BedrockServer, folder: Path, *media: LoadedMedia) -> list[dict[str, Any]]:
    """Run to the end, and give the blocks of the user's message as Bedrock got them."""
    run = await Runner(folder, MODEL).run(message="look", media=media)
    assert (run.text, run.error) == ("I see.", None)
    (request,) = bedrock.requests
    (message,) = request.body["messages"]
    assert message["role"] == "user"
    content: list[dict[str, Any]] = message["content"]
    return content


@pytest.mark.parametrize("type_", BLOCKS)
async def test_each_type_is_sent_as_its_block_byte_for_byte(
    bedrock: BedrockServer, tmp_path: Path, type_: str
) -> None:
    data = b"text" if type_.startswith("text/") else BYTES
    text, block = await sent(bedrock, tmp_path, LoadedMedia(type=type_, data=data))
    assert text == {"text": "look"}
    kind, format_ = BLOCKS[type_]
    assert (list(block), block[kind]["format"]) == ([kind], format_)
    assert b64decode(block[kind]["source"]["bytes"]) == data


async def test_media_keep_their_order_and_documents_have_names_of_their_own(
    bedrock: BedrockServer, tmp_path: Path
) -> None:
    types = ["application/pdf", "image/png", "text/plain"]
    media = [LoadedMedia(type=type_, data=b"x") for type_ in types]
    _, *blocks = await sent(bedrock, tmp_path, *media)
    assert [next(iter(block)) for block in blocks] == [BLOCKS[type_][0] for type_ in types]
    names = [block["document"]["name"] for block in blocks if "document" in block]
    assert len(set(names)) == 2
