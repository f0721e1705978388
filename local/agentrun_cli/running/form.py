"""
In which form a run is printed.

A file of its own: commands choose it before anything of the client is imported.
"""

from typing import Literal

from agentrun_cli.errors import UsageError

Form = Literal["answer", "json", "events"]


def form_of(*, as_events: bool, as_json: bool) -> Form:
    """
    Return the form that two options ask for.

    Raises:
        UsageError: They ask for two.
    """
    if as_events and as_json:
        raise UsageError("--events and --json exclude each other")
    return "events" if as_events else "json" if as_json else "answer"
