"""The playground as another server serves it: its files, and settings without a token."""

import functools
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.browser.stack import ROOT

STATIC = ROOT / "local/agentrun_local/playground/static"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served_elsewhere(folder: Path, api: str) -> Iterator[str]:
    """Serve a copy of the files below a path; yield its URL."""
    copy = folder / "below/playground-of-mine"
    shutil.copytree(STATIC, copy)
    (copy / "playground").mkdir()
    (copy / "playground/config.json").write_text(json.dumps({"baseUrl": api}))
    handler = functools.partial(_Quiet, directory=str(folder / "below"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/playground-of-mine"
    finally:
        server.shutdown()
        server.server_close()
