"""The built page's files, as they are served."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from agentrun.adapters.playground.files import built_files

STATIC = Path(__file__).parent / "static"


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
    for file in built_files(folder):
        path = f"/{file.path}"
        etag = f'"{hashlib.sha256(file.content).hexdigest()[:32]}"'
        asset = Asset(file.content, file.content_type, file.cache_control, etag)
        assets[path] = asset
        if path.endswith("/index.html"):
            assets[path.removesuffix("index.html")] = asset
    return assets
