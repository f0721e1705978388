"""Answers that a real server would not have at hand."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from tests.browser.page import Page

_SCRIPT = """
const real = window.fetch;
let isDue = true;
window.fetch = async (input, init) => {
  if (!isDue || !String(input).includes(%s)) return real(input, init);
  isDue = false;
  return new Response(%s, {status: %d, headers: {"Content-Type": "application/json"}});
};
"""


@contextmanager
def answered(page: Page, path: str, answer: object, status: int = 200) -> Iterator[None]:
    """In pages that are loaded in the block, answer the first request of a path."""
    source = _SCRIPT % (json.dumps(path), json.dumps(json.dumps(answer)), status)
    added = page.command("Page.addScriptToEvaluateOnNewDocument", source=source)
    try:
        yield
    finally:
        page.command("Page.removeScriptToEvaluateOnNewDocument", **added)
