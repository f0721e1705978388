"""From a task to what pydantic-ai sends to the model."""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Sequence

from pydantic_ai.messages import (
    AudioUrl,
    BinaryContent,
    DocumentUrl,
    ImageUrl,
    UserContent,
    VideoUrl,
)

from agentrun.domain.errors import EngineError
from agentrun.domain.ports import AgentTask
from agentrun.domain.requests import Media

_Url = type[ImageUrl | AudioUrl | VideoUrl | DocumentUrl]
_URL_KINDS: dict[str, _Url] = {"image": ImageUrl, "audio": AudioUrl, "video": VideoUrl}


def user_prompt(task: AgentTask) -> str | Sequence[UserContent]:
    """
    Give the message, and its media after it.

    Raises:
        EngineError: Inline media is not base64.
    """
    if not task.media:
        return task.message
    return [task.message, *(_content(media) for media in task.media)]


def _content(media: Media) -> UserContent:
    if media.data.startswith(("http://", "https://")):
        # The library downloads it where the model takes no URLs, and from public hosts only.
        kind = _URL_KINDS.get(media.type.partition("/")[0], DocumentUrl)
        return kind(url=media.data, media_type=media.type)
    try:
        return BinaryContent(data=b64decode(media.data, validate=True), media_type=media.type)
    except Base64Error as error:
        raise EngineError("The media is not base64.", error_type="INVALID_MEDIA") from error
