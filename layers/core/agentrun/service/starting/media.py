"""The media of a request: checked, loaded, and kept beside their run.

A URL may lead to something else by the time another executor goes on.
"""

from base64 import b64decode

from agentrun.domain.agents import Agent
from agentrun.domain.errors import (
    InvalidRequestError,
    PayloadTooLargeError,
)
from agentrun.domain.media import (
    MAX_INLINE_BYTES,
    MAX_MEDIA,
    LoadedMedia,
    MediaLoader,
    contradicts,
    packed_media,
    unpacked_media,
)
from agentrun.domain.ports import (
    LargeObjects,
)
from agentrun.domain.requests import (
    Media,
    RunRequest,
)
from agentrun.domain.runs import AgentRun, RunKey

_NAME = "media"


def keep_media(key: RunKey, media: tuple[LoadedMedia, ...], objects: LargeObjects) -> None:
    """
    Keep the media of a run that is about to be stored; it blocks.

    Raises:
        StoreUnavailableError: Nothing is known of the outcome; retrying is safe.
    """
    if media:
        objects.put(key, _NAME, packed_media(media))


def load_kept(run: AgentRun, objects: LargeObjects) -> tuple[LoadedMedia, ...]:
    """
    Read the media of a run; none where it has none. It blocks.

    Raises:
        StoreUnavailableError: Retrying is safe.
    """
    kept = objects.get(run.key, _NAME) if run.has_media else None
    return () if kept is None else unpacked_media(kept)


async def load_media(
    agent: Agent, request: RunRequest, loader: MediaLoader
) -> tuple[LoadedMedia, ...]:
    """
    Check and decode the media of a request, and download those that are given by URL.

    Downloads begin only once everything that can be checked without them is right.

    Returns:
        The media in the request's order.

    Raises:
        InvalidRequestError: The agent does not take a type, data is neither base64 nor a URL that
            can be used, or the bytes are not what their type says. Names each field at fault.
        PayloadTooLargeError: Too many media, or too many bytes.
    """
    if len(request.media) > MAX_MEDIA:
        raise PayloadTooLargeError(f"A request takes at most {MAX_MEDIA} media.")
    media = {f"media.{number}": item for number, item in enumerate(request.media)}
    _check_types(agent, media)
    loaded = _inline(media)
    urls = {f"{name}.data": item.data for name, item in media.items() if item.is_url}
    if urls:
        downloads = await loader.load(urls)
        loaded |= {
            name: _checked(name, item, downloads[f"{name}.data"])
            for name, item in media.items()
            if item.is_url
        }
    return tuple(loaded[name] for name in media)


def _check_types(agent: Agent, media: dict[str, Media]) -> None:
    wrong = {name: item.type for name, item in media.items() if item.type not in agent.media}
    if not wrong:
        return
    takes = f"one of {', '.join(agent.media)}" if agent.media else None
    refused = ", ".join(f"'{type_}'" for type_ in dict.fromkeys(wrong.values()))
    raise InvalidRequestError(
        f"The agent '{agent.id}' does not take media of type {refused}."
        if takes
        else f"The agent '{agent.id}' takes no media.",
        params=[
            (f"{name}.type", f"must be {takes}" if takes else "the agent takes no media")
            for name in wrong
        ],
    )


def _inline(media: dict[str, Media]) -> dict[str, LoadedMedia]:
    decoded = {name: _decoded(name, item.data) for name, item in media.items() if not item.is_url}
    size_bytes = sum(map(len, decoded.values()))
    if size_bytes > MAX_INLINE_BYTES:
        raise PayloadTooLargeError(
            f"Inline media have {size_bytes} bytes in all, at most {MAX_INLINE_BYTES} are taken."
        )
    return {name: _checked(name, media[name], data) for name, data in decoded.items()}


def _decoded(name: str, data: str) -> bytes:
    if data[:5].lower() == "data:":
        raise _invalid(name, "must be the base64 alone, without 'data:' and its type")
    try:
        # Strict, as RFC 4648, section 3.3, wants it: no white space, no URL-safe alphabet.
        return b64decode(data, validate=True)
    except ValueError:
        raise _invalid(
            name, "must be padded base64 without line breaks, or an http or https URL"
        ) from None


def _checked(name: str, item: Media, data: bytes) -> LoadedMedia:
    if not data:
        raise _invalid(name, "is empty")
    if contradicts(item.type, data):
        raise _invalid(name, f"is not {item.type}, going by its bytes")
    return LoadedMedia(type=item.type, data=data)


def _invalid(name: str, reason: str) -> InvalidRequestError:
    return InvalidRequestError(f"{name}.data {reason}.", params=[(f"{name}.data", reason)])
