"""Takes a stream apart as its bytes are, more strictly than any client."""

from collections.abc import Iterator

COMMENT = ": ping"
OPENING = ("retry", "1000")


def blocks(body: bytes) -> Iterator[dict[str, str]]:
    """
    Yield the fields of each block of a body that may have been cut off anywhere.

    Fails where a blank line ends a block without data, where `retry` does not stand in the first
    block or stands in another one, and where a comment is anything but `: ping`.
    """
    *whole, rest = body.decode().split("\n\n")
    assert not rest.startswith("\n"), "a blank line without a block"
    for number, block in enumerate(whole):
        lines = block.split("\n")
        fields = [line.partition(": ")[::2] for line in lines if line != COMMENT]
        expected = ["id", "data"] if number else ["retry", "id", "data"]
        assert [name for name, _ in fields] == expected, block
        assert number or fields[0] == OPENING, block
        yield dict(fields)
