"""Files and overrides as the API takes them."""

from base64 import b64encode
from pathlib import Path

import pytest

from agentrun_cli.commands.run_options import Overrides, media_of
from agentrun_cli.errors import UsageError
from agentrun_client import RunOptions


def test_files_are_sent_and_urls_are_named(tmp_path: Path) -> None:
    image = tmp_path / "photo.png"
    image.write_bytes(b"\x89PNG")
    sent, named = media_of([str(image), "https://host.example/a.jpg?size=1"])
    assert (sent.type, sent.data) == ("image/png", b64encode(b"\x89PNG").decode())
    assert (named.type, named.data) == ("image/jpeg", "https://host.example/a.jpg?size=1")


@pytest.mark.parametrize("file", ["/no/such.png", "/etc/hostname", "https://host.example/a"])
def test_a_file_that_cannot_be_sent_is_said(file: str) -> None:
    with pytest.raises(UsageError, match=file):
        media_of([file])


def test_what_is_not_said_is_left_to_the_agent() -> None:
    assert Overrides(max_cost=0.5).options() == RunOptions(max_cost_usd=0.5)
