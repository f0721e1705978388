"""The playground's files and settings, in front of the REST API."""

from pathlib import Path

import httpx
import pytest

from agentrun_local.doors.http_messages import Receive, Scope, Send, send_whole
from agentrun_local.playground.assets import STATIC, read_assets
from agentrun_local.playground.door import PlaygroundDoor, PlaygroundSettings

pytestmark = pytest.mark.anyio
STREAMS = "http://127.0.0.1:8001"


async def _api(scope: Scope, _receive: Receive, send: Send) -> None:
    await send_whole(send, 403, (), f"the API's: {scope['path']}".encode())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "index.html").write_text("the page")
    (tmp_path / "docs/index.html").write_text("the reference")
    (tmp_path / "assets/index-a1.js").write_text("script")
    (tmp_path / "assets/notes.md").write_text("not for browsers")
    return tmp_path


def _door(folder: Path, *, base_path: str = "", has_tokens: bool = True) -> PlaygroundDoor:
    tokens = iter(("first", "second"))
    settings = PlaygroundSettings(
        base_path, STREAMS, (lambda: next(tokens)) if has_tokens else None
    )
    return PlaygroundDoor(read_assets(folder), settings, api=_api)


async def _ask(
    door: PlaygroundDoor, path: str, method: str = "GET", **headers: str
) -> httpx.Response:
    transport = httpx.ASGITransport(app=door)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        return await client.request(method, path, headers=headers)


async def test_the_page_is_asked_for_again_and_its_assets_never(folder: Path) -> None:
    door = _door(folder)
    page = await _ask(door, "/")
    assert (page.text, page.headers["content-type"]) == ("the page", "text/html; charset=utf-8")
    assert page.headers["cache-control"] == "no-cache"
    script = await _ask(door, "/assets/index-a1.js")
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in script.headers["cache-control"]
    again = await _ask(door, "/", **{"if-none-match": page.headers["etag"]})
    assert (again.status_code, again.text) == (304, "")


@pytest.mark.parametrize(("accepted", "encoding"), [("gzip, br", "gzip"), ("identity", None)])
async def test_a_file_is_compressed_for_those_that_take_it(
    folder: Path, accepted: str, encoding: str | None
) -> None:
    page = await _ask(_door(folder), "/", **{"accept-encoding": accepted})
    assert (page.text, page.headers.get("content-encoding")) == ("the page", encoding)
    assert page.headers["vary"] == "accept-encoding"


async def test_the_policy_allows_no_inline_script_and_no_other_origin(folder: Path) -> None:
    policy = (await _ask(_door(folder), "/")).headers["content-security-policy"]
    assert "unsafe" not in policy
    assert policy.startswith(f"default-src 'self'; connect-src 'self' {STREAMS};")
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/agents"),
        ("GET", "/v1/models"),
        ("GET", "/nothing"),
        ("GET", "/assets/notes.md"),
        ("POST", "/"),
        ("POST", "/playground/config.json"),
        ("OPTIONS", "/playground/config.json"),
    ],
)
async def test_all_else_is_the_apis(folder: Path, method: str, path: str) -> None:
    answer = await _ask(_door(folder), path, method)
    assert (answer.status_code, answer.text) == (403, f"the API's: {path}")


async def test_what_lies_below_the_base_path_is_the_apis(folder: Path) -> None:
    door = _door(folder, base_path="/docs")
    assert (await _ask(door, "/docs/")).text == "the API's: /docs/"
    assert (await _ask(door, "/")).text == "the page"


async def test_each_reading_of_the_settings_has_a_fresh_token(folder: Path) -> None:
    door = _door(folder, base_path="/assist")
    first = await _ask(door, "/playground/config.json")
    assert first.json() == {"basePath": "/assist", "streamUrl": STREAMS, "token": "first"}
    assert first.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in first.headers
    assert (await _ask(door, "/playground/config.json")).json()["token"] == "second"


async def test_an_issuer_of_ones_own_means_no_token(folder: Path) -> None:
    answer = await _ask(_door(folder, has_tokens=False), "/playground/config.json")
    assert "token" not in answer.json()


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8000", "localhost.", ""])
async def test_a_name_that_is_pointed_here_gets_nothing(folder: Path, host: str) -> None:
    for path in ("/", "/playground/config.json"):
        answer = await _ask(_door(folder), path, host=host)
        assert answer.status_code == 421
        assert "token" not in answer.text


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "[::1]:8000"])
async def test_loopback_has_several_names(folder: Path, host: str) -> None:
    assert (await _ask(_door(folder), "/", host=host)).status_code == 200


async def test_a_head_has_no_body(folder: Path) -> None:
    answer = await _ask(_door(folder), "/", "HEAD")
    assert (answer.status_code, answer.content) == (200, b"")


async def test_the_reference_has_a_short_address(folder: Path) -> None:
    answer = await _ask(_door(folder), "/docs")
    assert (answer.status_code, answer.headers["location"]) == (308, "/docs/")


def test_what_is_shipped_is_whole() -> None:
    assets = read_assets()
    assert {
        "/",
        "/docs/",
        "/licences.txt",
        "/docs/swagger-ui/swagger-ui-bundle.js",
    } <= assets.keys()
    for page in ("/", "/docs/"):
        html = assets[page].content.decode()
        assert "<script>" not in html
        assert "style=" not in html
    # Whatever the build makes has to have a content type here.
    files = {f"/{file.relative_to(STATIC).as_posix()}" for file in STATIC.rglob("*.*")}
    assert files <= assets.keys()


async def test_a_page_that_signs_in_is_told_where_and_may_talk_to_it(folder: Path) -> None:
    settings = PlaygroundSettings(
        "",
        None,
        None,
        {"issuer": "https://issuer.example/realm", "clientId": "page"},
        ("https://issuer.example",),
    )
    door = PlaygroundDoor(read_assets(folder), settings, api=_api)
    told = await _ask(door, "/playground/config.json")
    assert told.json() == {
        "basePath": "",
        "issuer": "https://issuer.example/realm",
        "clientId": "page",
    }
    policy = (await _ask(door, "/")).headers["content-security-policy"]
    assert "connect-src 'self' https://issuer.example;" in policy
