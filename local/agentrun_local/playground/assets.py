"""The built page's files, as they are served."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

STATIC = Path(__file__).parent / "static"

# By name, and not by `mimetypes`, which asks files of the machine.
_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
# Their names hold a hash of their content.
_HASHED = "/assets/"
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"


@dataclass(frozen=True)
class Asset:
    """A file with the headers that it is sent with."""

    content: bytes
    content_type: str
    cache_control: str
    etag: str

    @cached_property
    def gzipped(self) -> bytes:
        """The content as most browsers ask for it; made once it is asked for."""
        return gzip.compress(self.content, mtime=0)


def read_assets(folder: Path = STATIC) -> Mapping[str, Asset]:
    """Read a folder of built files; the keys are the URL paths that serve them."""
    assets: dict[str, Asset] = {}
    for file in sorted(folder.rglob("*")):
        if file.suffix not in _CONTENT_TYPES:
            continue
        path = f"/{file.relative_to(folder).as_posix()}"
        content = file.read_bytes()
        asset = Asset(
            content,
            _CONTENT_TYPES[file.suffix],
            _FOR_EVER if path.startswith(_HASHED) else _ASK_AGAIN,
            f'"{hashlib.sha256(content).hexdigest()[:32]}"',
        )
        assets[path] = asset
        if file.name == "index.html":
            assets[path.removesuffix("index.html")] = asset
    return assets
