"""The playground's built files, as a server or a bucket sends them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

CONFIG_PATH = "playground/config.json"
"""Where the page looks for its settings, relative to itself."""
# By name, and not by `mimetypes`, which asks files of the machine.
_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
# Their names hold a hash of their content.
_HASHED = "assets/"
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"
_INDEX = "index.html"


@dataclass(frozen=True)
class SiteFile:
    """A file: its URL path without the first slash, and what it is sent with."""

    path: str
    content: bytes
    content_type: str
    cache_control: str = _ASK_AGAIN

    @property
    def is_hashed(self) -> bool:
        """Whether another content would have another path."""
        return self.cache_control == _FOR_EVER


def built_files(folder: Path) -> Iterator[SiteFile]:
    """Yield the files of a folder that a browser asks for, in the order of their names."""
    for file in sorted(folder.rglob("*")):
        if file.suffix in _CONTENT_TYPES:
            path = file.relative_to(folder).as_posix()
            cached = _FOR_EVER if path.startswith(_HASHED) else _ASK_AGAIN
            yield SiteFile(path, file.read_bytes(), _CONTENT_TYPES[file.suffix], cached)


def site_files(folder: Path, config: Mapping[str, str]) -> Iterator[SiteFile]:
    """
    Yield everything that a bucket has to hold, in the order in which it can be put there.

    What is hashed comes first, so that no page names a file that is not there yet. A bucket knows
    neither the index of a folder nor redirects, so `docs/` is an object, and `docs` leads to it.

    Args:
        folder: The built files.
        config: The page's settings; empty ones are left out.
    """
    for file in sorted(built_files(folder), key=lambda one: not one.is_hashed):
        yield file
        below, _, name = file.path.rpartition("/")
        if below and name == _INDEX:
            yield SiteFile(f"{below}/", file.content, file.content_type)
            yield SiteFile(below, _leading_to(f"{Path(below).name}/"), file.content_type)
    said = json.dumps({name: value for name, value in config.items() if value})
    yield SiteFile(CONFIG_PATH, said.encode(), "application/json")


def _leading_to(path: str) -> bytes:
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Agentrun</title>'
        f'<meta http-equiv="refresh" content="0; url={path}"><a href="{path}">{path}</a></html>\n'
    ).encode()
