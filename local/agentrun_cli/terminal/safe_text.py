"""
The one rule for text of models, users and servers on a terminal.

A control character can move the cursor, change what stands above, set the title, or write to the
clipboard (OSC 52); a bidirectional override can make an approval read as its opposite. So none
reaches a terminal: line feeds and tabs stay, carriage returns are left out, all others show as one
replacement character each. What is piped is not for a terminal, and stays as it is.
"""

REPLACEMENT = "\ufffd"
_KEPT = {"\n", "\t"}
# C0, DEL and C1 (ECMA-48); embeddings, overrides and isolates (UAX 9).
_CONTROLS = [*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_TABLE = {code: REPLACEMENT for code in _CONTROLS if chr(code) not in _KEPT} | {ord("\r"): ""}


def safe(text: str) -> str:
    """
    Return text that a terminal only prints.

    It works character by character, so the pieces of a stream are as safe as the whole.
    """
    return text.translate(_TABLE)


def one_line(text: str, at_most: int | None = None) -> str:
    """Return safe text without line breaks and runs of spaces, cut to a number of characters."""
    line = safe(" ".join(text.split()))
    return line if at_most is None or len(line) <= at_most else f"{line[: at_most - 1]}…"
