"""The doctor's findings, and the table of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from textwrap import wrap

_WIDTH = 100


class Verdict(StrEnum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    NOT_LOOKED_AT = "not looked at"


@dataclass(frozen=True)
class Finding:
    """One line of the table: what was checked, the result, and what to do about it."""

    check: str
    verdict: Verdict
    said: str
    remedy: str = ""


def ok(check: str, said: str) -> Finding:
    """Return a finding that needs no action."""
    return Finding(check, Verdict.OK, said)


def warning(check: str, said: str, remedy: str) -> Finding:
    """Return a finding that does not stop the deployment, for now or for some callers."""
    return Finding(check, Verdict.WARNING, said, remedy)


def problem(check: str, said: str, remedy: str) -> Finding:
    """Return a finding that makes the deployment or its runs fail."""
    return Finding(check, Verdict.PROBLEM, said, remedy)


def not_looked_at(check: str, said: str, remedy: str = "") -> Finding:
    """Return a finding that says why the check was not made."""
    return Finding(check, Verdict.NOT_LOOKED_AT, said, remedy)


def table(findings: Sequence[Finding]) -> str:
    """Lay findings out in three columns, each remedy below its finding, and count them."""
    verdicts = max(len(verdict) for verdict in Verdict) + 2
    checks = max((len(finding.check) for finding in findings), default=0) + 2
    lines: list[str] = []
    for finding in findings:
        beside = f"{finding.verdict:<{verdicts}}{finding.check:<{checks}}"
        for text, first, later in ((finding.said, "", ""), (finding.remedy, "-> ", "   ")):
            if text:
                lines += _beside(beside, f"{first}{text}", later)
                beside = " " * len(beside)
    return "\n".join([*lines, "", summary(findings)])


def summary(findings: Iterable[Finding]) -> str:
    """Count the findings of each verdict, the worst first."""
    of_each = [finding.verdict for finding in findings]
    names = {Verdict.PROBLEM: "problem", Verdict.WARNING: "warning"}
    counts = [
        f"{of_each.count(verdict)} {name}{'' if of_each.count(verdict) == 1 else 's'}"
        for verdict, name in names.items()
    ]
    rest = (Verdict.OK, Verdict.NOT_LOOKED_AT)
    return ", ".join([*counts, *(f"{of_each.count(verdict)} {verdict}" for verdict in rest)]) + "."


def _beside(left: str, text: str, indent: str) -> list[str]:
    room = max(_WIDTH - len(left), 40)
    # Model ids and ARNs stay whole, so that they can be copied.
    parts = wrap(
        text, room, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return [left + parts[0], *(" " * len(left) + part for part in parts[1:])]
