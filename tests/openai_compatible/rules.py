"""
What OpenAI, or a strict server of its API, refuses of a request for a chat completion.

`docs/models.md` names the source of each rule.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

_HALF = re.compile(r"[\ud800-\udfff]")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def faults(body: dict[str, Any]) -> list[str]:
    """Return what is wrong with a request; nothing where the API takes it."""
    broken = ["half a character"] if _HALF.search(json.dumps(body, ensure_ascii=False)) else []
    waiting: Counter[str] = Counter()
    for number, message in enumerate(body["messages"]):
        place = f"messages.{number}"
        if message["role"] == "tool":
            broken += _result(message, waiting, place)
            continue
        broken += [f"{place}: no result for {call_id}" for call_id in waiting.elements()]
        waiting.clear()
        if message["role"] == "assistant":
            broken += _answer(message, waiting, place)
        elif not message["content"]:
            broken.append(f"{place} has no content")
    return broken + [f"no result for {call_id}" for call_id in waiting.elements()]


def _result(message: dict[str, Any], waiting: Counter[str], place: str) -> Iterator[str]:
    if not waiting[message["tool_call_id"]]:
        yield f"{place}: a tool message must follow the call that it answers"
    waiting[message["tool_call_id"]] -= 1


def _answer(message: dict[str, Any], waiting: Counter[str], place: str) -> Iterator[str]:
    calls = message.get("tool_calls") or []
    if not calls and not message.get("content") and not message.get("reasoning_content"):
        yield f"{place} has neither content nor calls"
    for call in calls:
        waiting[call["id"]] += 1
        if waiting[call["id"]] > 1:
            yield f"{place}: {call['id']} appears twice"
        if not call["id"]:
            yield f"{place}: a call has an id"
        if not _NAME.fullmatch(call["function"]["name"]):
            yield f"{place}: a name is {_NAME.pattern}"
        if not isinstance(_parsed(call["function"]["arguments"]), dict):
            yield f"{place}: arguments are the JSON of an object"


def _parsed(arguments: str) -> object:
    try:
        return json.loads(arguments, parse_constant=lambda _: None)
    except ValueError:
        return None
