"""Which URLs media may come from, and what is not loaded to find out."""

import pytest

from agent_catalog.media.loader import UrlMediaLoader
from agent_catalog.media.urls import MAX_URL_CHARACTERS, UnusableUrlError, check_url
from agentrun.domain.errors import InvalidRequestError
from agentrun.domain.media import MediaLoader

LONGEST = "https://files.example/".ljust(MAX_URL_CHARACTERS, "x")


@pytest.mark.parametrize(
    "url",
    [
        *("http://files.example", "HTTPS://Files.Example/a.png", "http://files.example:80/"),
        *("https://files.example:443/", "https://files.example:/", LONGEST),
        "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/",
        "https://files.example/a@b:c;d=e?f=http://127.0.0.1/#g",
        "https://xn--bcher-kva.example/%C3%BC",
    ],
)
def test_http_and_https_at_their_ports_are_taken(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "percent-encoded"),
        ("https://bücher.example/", "percent-encoded"),
        ("https://files.example/\x7f", "percent-encoded"),
        ("files.example", "neither http nor https"),
        ("s3://bucket/key", "neither http nor https"),
        ("wss://files.example/", "neither http nor https"),
        ("https://a:b@files.example/", "with credentials"),
        ("https://files.example:8443/", "a port other than"),
        ("http://files.example:-1/", "not valid"),
        ("http://[files.example]/", "not valid"),
        (LONGEST + "x", "more than 8000 characters"),
    ],
)
def test_any_other_url_is_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(UnusableUrlError, match=reason):
        check_url(url)


@pytest.mark.anyio
async def test_an_error_names_the_field_and_not_the_url() -> None:
    loader: MediaLoader = UrlMediaLoader()
    with pytest.raises(InvalidRequestError) as refused:
        await loader.load({"media.7.data": "https://user:secret@files.example/"})
    assert [name for name, _ in refused.value.params] == ["media.7.data"]
    assert "secret" not in f"{refused.value}{refused.value.params}"
