"""From a task to what pydantic-ai sends to the model."""

from collections.abc import Sequence

from pydantic_ai.messages import BinaryContent, UserContent

from agentrun.domain.media import LoadedMedia
from agentrun.domain.ports import AgentTask


def user_prompt(task: AgentTask) -> str | Sequence[UserContent]:
    """Give the message, and its media after it, in the request's order."""
    if not task.media:
        return task.message
    return [task.message, *(_content(media) for media in task.media)]


def _content(media: LoadedMedia) -> BinaryContent:
    return BinaryContent.narrow_type(BinaryContent(media.data, media_type=media.type))
