"""Agents that cannot be talked to, and tokens that are not taken."""

import pytest

from tests.browser.page import Page


@pytest.fixture
def at_home(page: Page) -> None:
    """Stand on the page's own origin, whose storage can be cleared."""
    page.open()


def test_an_inactive_agent_is_read_but_not_asked(page: Page) -> None:
    page.open("#/chat/retired")
    page.find_text("main .notice", "inactive")
    assert page.all("#message") == []
    assert "Retired agent (inactive)" in page.find("#agent").text


def test_an_agent_that_is_not_there_is_said_to_be_missing(page: Page) -> None:
    page.open("#/chat/nobody")
    page.find_text("main .notice", "no agent nobody")


@pytest.mark.usefixtures("at_home")
def test_a_stack_without_agents_says_so(page: Page) -> None:
    page.script("sessionStorage.clear()")
    with page.answered("/api/agents?", []):
        page.open("#/chat")
    page.find_text("main .notice", "no agents")


def test_a_token_that_is_refused_is_replaced(page: Page) -> None:
    config = {"basePath": "", "token": "not.a.token"}
    with page.answered("playground/config.json", config):
        page.open("#/chat/echo")
    page.say("Let me in")
    page.ended_as("COMPLETED")
    assert page.text_of_last() == page.stack.run(page.run_id())["output"]
