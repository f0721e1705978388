"""Print the tables of docs/readers.md, measured here and now."""

import tempfile
from pathlib import Path

from tests.readers.conftest import readers_stack
from tests.readers.observing import observe_all
from tests.readers.roster import READERS
from tests.readers.tables import left_open_table, recipes_table


def main() -> None:
    """Observe all readers and print what they did."""
    with tempfile.TemporaryDirectory() as scratch, readers_stack(Path(scratch)) as stack:
        observations = observe_all(stack)
    lines = [*recipes_table(observations), "", *left_open_table(observations), ""]
    lines += [f"{each.name}: {lacking}" for each in READERS if (lacking := each.missing())]
    print("\n".join(lines))  # noqa: T201 - what the command is for


if __name__ == "__main__":
    main()
