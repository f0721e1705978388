"""One file for each group of questions; `ask` returns the rows of one peer."""

Answers = dict[str, str]
"""What was asked, and what was seen."""
