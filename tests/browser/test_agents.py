"""Agents that cannot be talked to, and tokens that are not taken."""

import json

import pytest

from tests.browser.page import Page

# Answers a page's first request of a path instead of the server.
STAND_IN = """
const real = window.fetch;
let isDue = true;
window.fetch = async (input, init) => {
  if (!isDue || !String(input).includes(%s)) return real(input, init);
  isDue = false;
  return new Response(%s, {headers: {"Content-Type": "application/json"}});
};
"""


def _open_with(page: Page, path: str, answer: object) -> None:
    """Load the page with one answer that is not the server's."""
    source = STAND_IN % (json.dumps(path), json.dumps(json.dumps(answer)))
    name = "Page.addScriptToEvaluateOnNewDocument"
    script = page.command(name, source=source)["identifier"]
    try:
        page.script("sessionStorage.clear()")
        page.open("#/chat")
    finally:
        page.command("Page.removeScriptToEvaluateOnNewDocument", identifier=script)


@pytest.fixture
def url(page: Page) -> str:
    """Stand on the page's own origin, whose storage can be cleared."""
    page.open()
    return page.stack.url


def test_an_inactive_agent_is_read_but_not_asked(page: Page) -> None:
    page.open("#/chat/retired")
    page.find_text("main .notice", "inactive")
    assert page.all("#message") == []
    assert "Retired agent (inactive)" in page.find("#agent").text


def test_an_agent_that_is_not_there_is_said_to_be_missing(page: Page) -> None:
    page.open("#/chat/nobody")
    page.find_text("main .notice", "no agent nobody")


def test_a_stack_without_agents_says_so(page: Page, url: str) -> None:
    _open_with(page, "/api/agents?", [])
    page.find_text("main .notice", "no agents")


def test_a_token_that_is_refused_is_replaced(page: Page, url: str) -> None:
    config = {"basePath": "", "token": "not.a.token"}
    _open_with(page, "playground/config.json", config)
    page.say("Let me in")
    page.ended_as("COMPLETED")
    assert page.text_of_last() == page.stack.run(page.run_id())["output"]
