"""Measurements as a table."""

import os
import platform
from collections.abc import Sequence
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


HEADINGS = ("what", "measured", "budget", "")


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile, 1 to 99, of at least two values."""
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def machine() -> str:
    """Describe the machine that the figures are from."""
    cores = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
    return f"{cores}, {platform.python_implementation()} {platform.python_version()}"


def print_table(rows: Sequence[Row]) -> None:
    """Print the lines in columns."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    for number, line in enumerate(lines):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))
        if number == 0:
            print("  ".join("-" * width for width in widths))
    print(f"\nMachine: {machine()}")
