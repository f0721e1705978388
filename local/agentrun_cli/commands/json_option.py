"""
The option `--json`.

A file of its own: nearly every command has it, and says the same of it.
"""

from typing import Annotated

import typer

AsDocument = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
AsLines = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]
