"""
Record a chat of the command line as docs/images/chat.svg: `python -m tests.recording`.

The chat is a real one, with the local stack; what its terminal shows at the end is the picture.
"""

import os
import re
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tests.documented import ROOT
from tests.e2e.conftest import running_stack
from tests.terminal import at_terminal

PICTURE = ROOT / "docs/images/chat.svg"
COLUMNS = 84
_WAITS = re.compile(r"\x1b\[\?2004[hl]|\x1b\[\?25[hl]|\x1b\]133;[^\x07]*\x07")
_FONTS = re.compile(r"@font-face \{.*?\}", re.DOTALL)
# Lines that were written over stay in what was read; a terminal shows the last of them.
_OVERWRITTEN = re.compile(r"[^\n]*\r(?!\n)")


def main() -> None:
    """Chat, and write the picture."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        with running_stack(ROOT / "template.yaml", scratch) as stack:
            environment = {
                "PATH": os.environ["PATH"],
                "HOME": folder,
                "LANG": "C.UTF-8",
                "TERM": "xterm-256color",
                "AGENTRUN_BASE_URL": stack.rest_api,
                "AGENTRUN_TOKEN": stack.token(),
            }
            command = [sys.executable, "-m", "agentrun_local.cli", "chat", "finance_agent"]
            with at_terminal(command, environment, columns=COLUMNS) as terminal:
                terminal.expect("> ")
                terminal.type("Buy 1 share of AMZN")
                terminal.expect(r"\[l\]ater: ")
                terminal.type("approve")
                terminal.expect("> ")
                shown = terminal.raw
    PICTURE.write_text(picture_of(shown), encoding="utf-8")


def picture_of(shown: str) -> str:
    """Return what a terminal shows as an SVG that loads nothing."""
    plain = _OVERWRITTEN.sub("", _WAITS.sub("", shown).replace("\r\n", "\n"))
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115, PTH123
    console.print(Text("$ agentrun chat finance_agent"))
    console.print(Text.from_ansi(plain.strip()))
    svg = console.export_svg(title="agentrun chat", unique_id="chat")
    return _FONTS.sub("", svg)


if __name__ == "__main__":
    main()
