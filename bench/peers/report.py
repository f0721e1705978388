"""The answers as a Markdown table."""

from collections.abc import Mapping

from bench.peers.questions import Answers


def as_markdown(found: Mapping[str, Answers]) -> str:
    """
    Return a table with a column for each peer and a row for each question.

    Args:
        found: By peer, in the order of the columns; rows come in the order of the first peer that
            has them.
    """
    rows = dict.fromkeys(row for answers in found.values() for row in answers)
    lines = [["", *found], ["---"] * (len(found) + 1)]
    lines += [[row, *(answers.get(row, "") for answers in found.values())] for row in rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
