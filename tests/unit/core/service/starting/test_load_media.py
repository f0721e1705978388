"""Media of a request: what is refused, and that the rest arrives byte for byte."""

import asyncio
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Mapping
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from agentrun.domain.agents import Agent
from agentrun.domain.errors import InvalidRequestError, PayloadTooLargeError
from agentrun.domain.media import MAX_INLINE_BYTES, LoadedMedia
from agentrun.domain.requests import Media, RunRequest
from agentrun.domain.turns import Checkpoint
from agentrun.service.starting.media import load_media

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
SAMPLES = {
    "image/png": PNG,
    "image/jpeg": b"\xff\xd8\xff\xe0" + bytes(8),
    "image/gif": b"GIF89a" + bytes(8),
    "image/webp": b"RIFF\x1a\x00\x00\x00WEBPVP8 " + bytes(8),
    "application/pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3",
    "text/plain": "Grüße\n".encode(),
}
SEES = Agent(
    id="sees",
    name="Sees",
    description="Takes files",
    model="demo",
    models=("demo",),
    media=(*SAMPLES, "audio/wav"),
)
BLIND = SEES.model_copy(update={"id": "blind", "media": ()})


class RecordedLoader:
    """Gives what it was made with, and keeps what it was asked for."""

    def __init__(self, *files: bytes) -> None:
        self.files = files
        self.asked: list[Mapping[str, str]] = []

    async def load(self, urls: Mapping[str, str]) -> Mapping[str, bytes]:
        self.asked.append(urls)
        return dict(zip(urls, self.files, strict=True))


def inline(data: bytes, type_: str = "image/png") -> Media:
    return Media(type=type_, data=b64encode(data).decode())


def linked(type_: str = "image/png", url: str = "https://files.example/a") -> Media:
    return Media(type=type_, data=url)


async def load(
    *media: Media, agent: Agent = SEES, loader: RecordedLoader | None = None
) -> tuple[LoadedMedia, ...]:
    request = RunRequest(message="look").model_copy(update={"media": media})
    return await load_media(agent, request, loader or RecordedLoader())


async def refused(*media: Media, agent: Agent = SEES) -> dict[str, str]:
    """Return the fields at fault; nothing may have been downloaded."""
    loader = RecordedLoader()
    with pytest.raises(InvalidRequestError) as error:
        await load(*media, agent=agent, loader=loader)
    assert loader.asked == []
    return dict(error.value.params)


@pytest.mark.parametrize("type_", SAMPLES)
async def test_each_known_type_arrives_byte_for_byte(type_: str) -> None:
    loaded = await load(inline(SAMPLES[type_], type_))
    assert loaded == (LoadedMedia(type=type_, data=SAMPLES[type_]),)


@pytest.mark.parametrize(
    ("type_", "bytes_of"),
    [pair for pair in permutations(SAMPLES, 2) if pair[1] != "text/plain"],
)
async def test_bytes_that_are_not_their_type_are_refused(type_: str, bytes_of: str) -> None:
    params = await refused(inline(SAMPLES[bytes_of], type_))
    assert params == {"media.0.data": f"is not {type_}, going by its bytes"}


@pytest.mark.parametrize("type_", [type_ for type_ in SAMPLES if type_ != "text/plain"])
async def test_text_is_not_any_type_that_has_a_signature(type_: str) -> None:
    assert "media.0.data" in await refused(inline(SAMPLES["text/plain"], type_))


async def test_text_that_is_not_utf_8_is_refused() -> None:
    assert "media.0.data" in await refused(inline("Grüße".encode("latin-1"), "text/plain"))


async def test_a_type_without_a_signature_is_only_refused_for_another_types() -> None:
    wave = b"RIFF\x00\x00\x00\x00WAVEfmt "
    assert (await load(inline(wave, "audio/wav")))[0].data == wave
    assert "media.0.data" in await refused(inline(PNG, "audio/wav"))


@pytest.mark.parametrize("cut", range(len(b"RIFF\x1a\x00\x00\x00WEBPVP")))
async def test_part_of_a_signature_is_not_enough(cut: int) -> None:
    assert "media.0.data" in await refused(
        inline(SAMPLES["image/webp"][:cut] or b"R", "image/webp")
    )


@pytest.mark.parametrize("type_", ["IMAGE/PNG", " image/png ", "image/png; name=a.png"])
async def test_types_are_compared_without_case_and_parameters(type_: str) -> None:
    assert (await load(inline(PNG, type_)))[0].type == "image/png"


@pytest.mark.parametrize(
    "type_", ["", "png", "image/", "/png", "image/png/x", "image/p\u00f1g", ";"]
)
def test_what_is_no_mime_type_is_refused_with_the_body(type_: str) -> None:
    with pytest.raises(ValidationError, match="must be a MIME type"):
        Media(type=type_, data="eA==")


async def test_a_type_that_the_agent_does_not_take_is_refused_with_those_that_it_takes() -> None:
    params = await refused(inline(PNG), linked("video/mp4"), inline(b"<svg/>", "image/svg+xml"))
    assert list(params) == ["media.1.type", "media.2.type"]
    assert params["media.1.type"].startswith("must be one of image/png, image/jpeg")


async def test_an_agent_without_media_says_that_it_takes_none() -> None:
    assert await refused(inline(PNG), agent=BLIND) == {"media.0.type": "the agent takes no media"}


@pytest.mark.parametrize(
    "data",
    [
        "%%%",
        "eA",  # no padding
        "eA=",
        "e===",
        "====",
        "=eA=",
        "eA==eA==",
        "eA==\n",
        "e A==",
        "\ufeffeA==",
        "eÄ==",
        b64encode(SAMPLES["application/pdf"] * 9).decode()[:76] + "\n" + "eA==",
        urlsafe_b64encode(b"\xfb\xff\xfe").decode(),
        "ftp://files.example/a.png",
        "file:///etc/passwd",
        "http:/files.example",
    ],
)
async def test_only_strict_base64_is_decoded(data: str) -> None:
    params = await refused(inline(PNG), Media(type="text/plain", data=data))
    assert params == {
        "media.1.data": "must be padded base64 without line breaks, or an http or https URL"
    }


@pytest.mark.parametrize("data", ["data:image/png;base64,iVBORw0KGgo=", "DATA:,x"])
async def test_a_data_url_is_refused_for_what_it_is(data: str) -> None:
    params = await refused(Media(type="image/png", data=data))
    assert params == {"media.0.data": "must be the base64 alone, without 'data:' and its type"}


def test_empty_data_is_refused_with_the_body() -> None:
    with pytest.raises(ValidationError):
        Media(type="text/plain", data="")


async def test_inline_media_may_have_4_mib_in_all_and_no_byte_more() -> None:
    half = b"x" * (MAX_INLINE_BYTES // 2)
    loaded = await load(inline(half, "text/plain"), inline(half, "text/plain"))
    assert sum(len(media.data) for media in loaded) == MAX_INLINE_BYTES
    loader = RecordedLoader()
    with pytest.raises(PayloadTooLargeError, match="4194305 bytes in all, at most 4194304"):
        await load(
            inline(half, "text/plain"), inline(half + b"x", "text/plain"), linked(), loader=loader
        )
    assert loader.asked == []


async def test_ten_media_are_taken_and_eleven_are_not() -> None:
    assert len(await load(*[inline(PNG)] * 10)) == 10
    with pytest.raises(PayloadTooLargeError, match="at most 10 media"):
        await load(*[inline(PNG)] * 11)


async def test_without_media_or_urls_the_loader_is_left_alone() -> None:
    loader = RecordedLoader()
    assert await load(loader=loader) == ()
    assert len(await load(inline(PNG), loader=loader)) == 1
    assert loader.asked == []


@pytest.mark.parametrize("url", ["https://files.example/a", "HTTP://files.example/a"])
async def test_urls_are_loaded_and_stay_in_their_place(url: str) -> None:
    loader = RecordedLoader(SAMPLES["image/gif"], SAMPLES["application/pdf"])
    loaded = await load(
        linked("image/gif", url), inline(PNG), linked("application/pdf", url), loader=loader
    )
    assert [media.type for media in loaded] == ["image/gif", "image/png", "application/pdf"]
    assert [media.data for media in loaded] == [SAMPLES[media.type] for media in loaded]
    assert loader.asked == [{"media.0.data": url, "media.2.data": url}]


@pytest.mark.parametrize(
    ("type_", "data"),
    [("image/png", b"<html>Sign in</html>"), ("image/png", b""), ("text/plain", b"")],
)
async def test_what_a_url_gives_must_be_of_the_declared_type(type_: str, data: bytes) -> None:
    with pytest.raises(InvalidRequestError) as error:
        await load(inline(PNG), linked(type_), loader=RecordedLoader(data))
    assert [name for name, _ in error.value.params] == ["media.1.data"]


def test_the_bytes_are_not_printed() -> None:
    assert "secret" not in repr(LoadedMedia(type="text/plain", data=b"secret"))


def test_media_survive_a_pause_as_json() -> None:
    kept = Checkpoint(
        request=RunRequest(message="look"),
        state="paused",
        media=(LoadedMedia(type="image/png", data=bytes(range(256))),),
    )
    assert Checkpoint.model_validate_json(kept.model_dump_json()) == kept


TYPES = st.sampled_from(SEES.media)
CONTENTS = st.builds(bytes.__add__, st.sampled_from([b"", *SAMPLES.values()]), st.binary())
TEXTS = st.one_of(
    st.text(min_size=1),
    st.text(alphabet="AZaz09+/=-_ \n", min_size=1),
    CONTENTS.filter(bool).map(lambda data: b64encode(data).decode()),
    st.just("https://files.example/a"),
)
MEDIA = st.one_of(
    st.builds(Media, type=TYPES, data=TEXTS),
    st.sampled_from([inline(data, type_) for type_, data in SAMPLES.items()]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(MEDIA, min_size=1, max_size=3) | st.lists(MEDIA, max_size=11))
def test_anything_is_loaded_or_refused_with_one_of_two_errors(media: list[Media]) -> None:
    links = sum(item.is_url for item in media)
    at_fault = []
    try:
        loaded = asyncio.run(load(*media, loader=RecordedLoader(*[PNG] * links)))
    except InvalidRequestError as error:
        at_fault = [name for name, _ in error.params]
    except PayloadTooLargeError:
        assert len(media) > 10
    else:
        expected = [PNG if item.is_url else b64decode(item.data) for item in media]
        assert [item.data for item in loaded] == expected
    assert all(name.startswith("media.") for name in at_fault)
