"""What the user decides of tools in doubt and used-up budgets, and what goes on by itself."""

import json
from pathlib import Path

from tests.browser.page import Page

LONG_S = 120


def _begin_slow_call(page: Page, done_before: Path | None = None) -> None:
    """Open a conversation in which a tool is running."""
    page.open_chat("careful")
    given: dict[str, object] = {"seconds": LONG_S}
    if done_before:
        given["done_before"] = str(done_before)
    page.say_whole(f"/call act {json.dumps(given)}")
    page.find_text("details[data-tool=act]", "running")


def _result(page: Page) -> str:
    """Return what the page has of the tool, once its run has ended."""
    page.ended_as("COMPLETED")
    tool = page.find("details[data-tool=act]")
    tool.find_element("tag name", "summary").click()
    return str(tool.text)


def test_killed_executors_lose_and_double_nothing_and_ask_where_nobody_knows(
    page: Page, tmp_path: Path
) -> None:
    # A tab in the background reads on as well; all wait for the same leases to lapse.
    _begin_slow_call(page)
    with page.second_tab():
        _begin_slow_call(page)
        with page.second_tab():
            _begin_slow_call(page, tmp_path / "acted")
            with page.second_tab():
                page.open_chat("echo")
                page.say("/emit 120 every 80")
                page.find_text("article.answer", "10")
                assert page.stack.kill_executors() > 0
                page.ended_as("COMPLETED")
                run = page.stack.run(page.run_id())
                assert run["attempt"] == 2
                assert page.text_of_last() == run["output"]
            page.press("Run again")
            assert "acted again" in _result(page)
        page.press("Do not run again")
        page.type("It was Friday.")
        page.press("Reject")
        assert "It was Friday." in _result(page)
    page.press("Enter its result")
    page.type('"acted, as the log says"')
    page.press("Go on with this result")
    assert "as the log says" in _result(page)


def test_a_used_up_budget_is_raised(page: Page) -> None:
    page.open_chat("careful")
    page.say(" then ".join(f'/call act {{"seconds": 0.{number}}}' for number in range(3)))
    page.button("Raise and go on")
    page.find(".decide input[step='1']").send_keys("100000")
    page.press("Raise and go on")
    page.ended_as("COMPLETED")
    assert page.text_of_last() == page.stack.run(page.run_id())["output"]


def test_a_run_ends_whose_budget_is_not_raised(page: Page) -> None:
    page.open_chat("careful")
    page.say(" then ".join(f'/call act {{"seconds": 0.{number}}}' for number in range(3)))
    page.press("End the run")
    page.ended_as("FAILED")
    page.find_text(".notice.error", "budget")
