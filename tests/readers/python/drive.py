"""
Run a recipe in a process of its own and print each event as soon as it hands it on.

Usage: drive.py RECIPE.py ARGUMENTS, where ARGUMENTS is the JSON of `run_agent`'s arguments.
"""

import asyncio
import inspect
import json
import runpy
import sys
from typing import Any


def show(event: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


async def show_all(events: Any) -> None:
    async for event in events:
        show(event)


def main(recipe: str, arguments: str) -> None:
    events = runpy.run_path(recipe)["run_agent"](**json.loads(arguments))
    if inspect.isasyncgen(events):
        asyncio.run(show_all(events))
    else:
        for event in events:
            show(event)


if __name__ == "__main__":
    main(*sys.argv[1:])
