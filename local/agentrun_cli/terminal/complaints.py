"""
Complaints and remarks: lines of standard error, safe to show.

A file of its own: every command says something there, and nothing of it may need Rich.
"""

import sys

from agentrun_cli.terminal.safe_text import one_line, safe


def complain(text: str) -> None:
    """Say in one line why the command cannot go on."""
    print(f"agentrun: {one_line(text)}", file=sys.stderr, flush=True)


def remark(text: str) -> None:
    """Say something that is not the command's result."""
    print(safe(text), file=sys.stderr, flush=True)
