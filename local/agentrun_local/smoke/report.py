"""The report: a table to paste into an issue, or JSON; without the token and host names."""

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

from agentrun_local.smoke.outcome import Verdict
from agentrun_local.smoke.suite import CHECKS, Row, slug
from agentrun_local.smoke.target import DEMO, Door, Spent, Target

_CHECK_WIDTH = max(len(check.name) for check in CHECKS)
_DOORS = {Door.REST: "REST API", Door.URL: "Function URL"}
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Report:
    """Reports what was checked, without secrets."""

    def __init__(self, target: Target, at: datetime | None = None) -> None:
        self._target = target
        self._at = at or datetime.now(UTC)
        self._hidden = _hidden(target)

    def head(self) -> str:
        """Return the lines above the rows."""
        asked = ", ".join(
            f"{_DOORS[door]} {self.safe(url)}" for door, url in self._target.doors.items()
        )
        titles = _line("check", "door", "outcome", "seen")
        rule = _line("-" * _CHECK_WIDTH, "-" * 12, "-" * 9, "-" * 4)
        return f"agentrun smoke, {self._at:%Y-%m-%d %H:%M} UTC: {asked}\n\n{titles}\n{rule}"

    def row(self, row: Row) -> str:
        """Return one line of the table."""
        verdict = f"{row.outcome.verdict}"
        seen = self.safe(row.outcome.seen).replace("|", "/")
        return _line(row.check.name, _DOORS[row.door], verdict, seen)

    def foot(self, rows: Sequence[Row], took_s: float, *, deleted: bool) -> str:
        """Return the lines below the rows: remedies, totals, costs."""
        remedies = dict.fromkeys(
            f"- {row.check.name}: {self.safe(row.remedy)}" for row in rows if row.remedy
        )
        count = {verdict: _count(rows, verdict) for verdict in Verdict}
        sums = ", ".join(f"{number} {verdict}" for verdict, number in count.items())
        costs = [f"Cost: {_cost(list(self._target.spent.values()))}; {took_s:.0f} s."]
        advice = ["What to do:", *remedies, ""] if remedies else []
        kept = "have been deleted" if deleted else "stay, to be looked up, under the token's user"
        return "\n".join(["", *advice, f"{sums}.", *map(self.safe, costs), f"Its runs {kept}."])

    def document(self, rows: Sequence[Row], took_s: float, *, deleted: bool) -> str:
        """Return the whole report as JSON."""
        said = {
            "at": f"{self._at:%Y-%m-%dT%H:%M:%SZ}",
            "doors": {door: self.safe(url) for door, url in self._target.doors.items()},
            "holds": all_hold(rows),
            "checks": [
                {
                    "check": slug(row.check),
                    "door": row.door,
                    "outcome": row.outcome.verdict,
                    "seen": self.safe(row.outcome.seen),
                    "seconds": round(row.took_s, 2),
                    **({"remedy": self.safe(row.remedy)} if row.remedy else {}),
                }
                for row in rows
            ],
            "cost": [
                {"model": self.safe(model), **figures}
                for model, figures in _by_model(list(self._target.spent.values())).items()
            ],
            "seconds": round(took_s, 1),
            "runsDeleted": deleted,
        }
        return json.dumps(said, indent=2)

    def safe(self, text: str) -> str:
        """Replace what may not be shown: the token, full host names, control characters."""
        for secret, shown in self._hidden.items():
            text = text.replace(secret, shown)
        return "".join(c if c.isprintable() else "?" for c in text)


def all_hold(rows: Sequence[Row]) -> bool:
    """Tell whether nothing fails and something holds."""
    return not _count(rows, Verdict.FAILS) and bool(_count(rows, Verdict.HOLDS))


def _hidden(target: Target) -> dict[str, str]:
    """Map what must be hidden to what is shown instead, the longest first."""
    hidden = {part: "[token]" for part in (target.token, *target.token.split(".")) if len(part) > 8}
    for url in target.doors.values():
        host = urlsplit(url).hostname or ""
        if host not in _LOOPBACK:
            first, dot, rest = host.partition(".")
            hidden[host] = f"{first[:4]}…{dot}{rest}"
    return dict(sorted(hidden.items(), key=lambda pair: -len(pair[0])))


def _count(rows: Sequence[Row], verdict: Verdict) -> int:
    return sum(row.outcome.verdict is verdict for row in rows)


def _by_model(spent: Sequence[Spent]) -> dict[str, dict[str, float | None]]:
    runs: defaultdict[str, list[Spent]] = defaultdict(list)
    for run in spent:
        runs[run.model].append(run)
    return {
        model: {
            "runs": len(those),
            "tokens": sum(run.tokens for run in those),
            "costUsd": _sum_usd(those),
        }
        for model, those in runs.items()
    }


def _sum_usd(runs: Sequence[Spent]) -> float | None:
    costs = [run.cost_usd for run in runs]
    return None if None in costs else sum(cost for cost in costs if cost is not None)


def _cost(spent: Sequence[Spent]) -> str:
    said = []
    for model, figures in _by_model(spent).items():
        cost = figures["costUsd"]
        price = "not known" if cost is None else f"{cost:.6f} USD"
        paid = "nothing to pay for it" if model == DEMO else price
        runs = "1 run" if figures["runs"] == 1 else f"{figures['runs']} runs"
        said.append(f"{runs} on {model}, {figures['tokens']} tokens, {paid}")
    return "; ".join(said) or "nothing was run"


def _line(check: str, door: str, verdict: str, seen: str) -> str:
    return f"| {check:{_CHECK_WIDTH}} | {door:12} | {verdict:9} | {seen} |"
