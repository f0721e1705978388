"""The media of a run, kept beside it: a URL may lead to something else by the time it goes on."""

from agentrun.domain.media import LoadedMedia, packed_media, unpacked_media
from agentrun.domain.ports import LargeObjects
from agentrun.domain.runs import RunKey

_NAME = "media"


def keep_media(key: RunKey, media: tuple[LoadedMedia, ...], objects: LargeObjects) -> None:
    """
    Keep the media of a run that is about to be stored; it blocks.

    Raises:
        StoreUnavailableError: Nothing is known of the outcome; retrying is safe.
    """
    if media:
        objects.put(key, _NAME, packed_media(media))


def load_kept(key: RunKey, objects: LargeObjects) -> tuple[LoadedMedia, ...]:
    """
    Read the media of a run; none where it has none. It blocks.

    Raises:
        StoreUnavailableError: Retrying is safe.
    """
    kept = objects.get(key, _NAME)
    return () if kept is None else unpacked_media(kept)
