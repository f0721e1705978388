"""What was measured, as a table."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles


@dataclass(frozen=True)
class Row:
    """
    One line of the table.

    `met` says whether the budget was kept; None where there is none, the figure being there to
    compare with.
    """

    what: str
    measured: str
    budget: str = ""
    met: bool | None = None

    def cells(self) -> tuple[str, str, str, str]:
        """Return the line as it is printed."""
        verdict = {True: "met", False: "missed", None: ""}[self.met]
        return self.what, self.measured, self.budget, verdict


@dataclass(frozen=True)
class Budget:
    """
    What a figure may be.

    Attributes:
        limit: The figure itself, or how many times another's it may be.
        of: Whose figure: `peer`, `before`; None if the limit stands by itself.
        at_least: Whether it is a limit from below.
    """

    limit: float
    of: str | None = None
    at_least: bool = False

    def text(self, unit: str) -> str:
        """Return it as it is printed."""
        what = f"x {self.of}" if self.of else unit
        return f"{'>=' if self.at_least else '<='} {_short(self.limit)} {what}".rstrip()

    def met(self, figures: Mapping[str, float]) -> bool | None:
        """Compare; None if the other was not measured."""
        if self.of and self.of not in figures:
            return None
        bound = self.limit * (figures[self.of] if self.of else 1)
        ours = figures["ours"]
        return ours >= bound if self.at_least else ours <= bound


HEADINGS = ("what", "measured", "budget", "")


def compare(what: str, figures: Mapping[str, float], unit: str, *budgets: Budget) -> list[Row]:
    """Return our figure beside the others', a line for each budget."""
    others = [
        f"{figures['ours'] / figure:.2f} x {name}'s {_short(figure)}"
        for name, figure in figures.items()
        if name != "ours" and figure
    ]
    measured = f"{_short(figures['ours'])} {unit}"
    if others:
        measured = f"{measured} = {', '.join(others)}"
    if not budgets:
        return [Row(what, measured)]
    first, *more = (Row("", "", b.text(unit), b.met(figures)) for b in budgets)
    return [Row(what, measured, first.budget, first.met), *more]


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile, 1 to 99, of at least two values."""
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def machine(python_version: str) -> str:
    """Say what the figures were measured on."""
    cores = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
    return f"{cores}, {platform.python_implementation()} {python_version}"


def print_table(rows: Sequence[Row], python_version: str | None = None) -> None:
    """Print the lines in columns; the version is that of the measured processes' Python."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    for number, line in enumerate(lines):
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))
    print(f"\nMachine: {machine(python_version or platform.python_version())}")


def _short(figure: float) -> str:
    """Write it with three digits or so; no more of them mean anything."""
    return f"{figure:.0f}" if figure >= 100 else f"{figure:.3g}"
