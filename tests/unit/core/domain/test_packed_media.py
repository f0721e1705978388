"""Media as bytes, and back."""

import pytest

from agentrun.domain.media import LoadedMedia, packed_media, unpacked_media

PNG = LoadedMedia(type="image/png", data=b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
TEXT = LoadedMedia(type="text/plain", data=b"\n\n[[")


@pytest.mark.parametrize("media", [(), (PNG,), (TEXT, PNG, TEXT)])
def test_media_come_back_as_they_were(media: tuple[LoadedMedia, ...]) -> None:
    assert unpacked_media(packed_media(media)) == media


def test_media_take_hardly_more_room_than_their_contents() -> None:
    assert len(packed_media((PNG, TEXT))) < len(PNG.data) + len(TEXT.data) + 60
