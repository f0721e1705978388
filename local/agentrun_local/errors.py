"""
Errors that the developer can fix.

A file of its own: every room raises them, and `cli.py` catches them without importing any room.
"""


class LocalStackError(Exception):
    """Something outside the code is wrong, such as a port or a file; shown as one line."""


class TemplateError(LocalStackError):
    """
    The template cannot be read, or needs something that only AWS has.

    `line` counts from 1; 0 if it is not known, or the whole template is meant.
    """

    def __init__(self, message: str, *, line: int = 0) -> None:
        super().__init__(message)
        self.line = line
