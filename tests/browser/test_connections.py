"""What becomes of a conversation when tabs and networks come and go."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.browser.page import Page


@contextmanager
def _second_tab(page: Page) -> Iterator[None]:
    first = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    try:
        yield
    finally:
        page.driver.close()
        page.driver.switch_to.window(first)


def test_two_tabs_show_the_same_run(page: Page) -> None:
    session_id = page.open_chat("echo")
    page.say("/emit 60 every 60")
    page.until(lambda: "10" in page.answer().text, "a part of the answer")
    with _second_tab(page):
        page.open_chat("echo", session_id)
        page.ended_as("COMPLETED")
        output = page.stack.run(page.run_id())["output"]
        assert page.text_of_last() == output
        page.say("And now?")
        page.until(lambda: len(page.all("article.answer")) == 2, "a second answer")
        page.ended_as("COMPLETED")
    page.until(lambda: len(page.all("article.answer")) == 2, "what the other tab has said")
    assert page.answer(0).find_element("css selector", "[data-text]").text.strip() == output.strip()


def _set_offline(page: Page, *, is_offline: bool) -> None:
    conditions = {"offline": is_offline, "latency": 0}
    conditions |= {"downloadThroughput": 10_000_000, "uploadThroughput": 10_000_000}
    page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)


def test_a_network_that_comes_back_loses_and_doubles_nothing(page: Page) -> None:
    page.open_chat("echo")
    page.driver.execute_cdp_cmd("Network.enable", {})
    # Only connections that were opened under such conditions are cut by others.
    _set_offline(page, is_offline=False)
    page.say("/emit 80 every 60")
    page.until(lambda: "10" in page.answer().text, "a part of the answer")
    _set_offline(page, is_offline=True)
    try:
        assert "offline" in page.find(".notice.warning").text
        page.until(lambda: "broke" in page.find(".working").text, "a cut")
    finally:
        _set_offline(page, is_offline=False)
    page.ended_as("COMPLETED")
    page.driver.execute_cdp_cmd("Network.disable", {})
    assert page.text_of_last() == page.stack.run(page.run_id())["output"]
    assert page.all(".notice") == []


def test_a_conversation_is_opened_and_deleted(page: Page) -> None:
    session_id = page.open_chat("echo")
    page.say("Once upon a time")
    page.ended_as("COMPLETED")
    page.script("sessionStorage.clear()")
    page.open("#/chat/echo")
    page.find("#message")
    page.find(f".conversations a[href$='{session_id}']").click()
    assert page.text_of_last().strip() == "Once upon a time"
    page.script("window.confirm = () => true")
    page.find(f".conversations a[href$='{session_id}'] + button").click()
    page.until(lambda: not page.all(f".conversations a[href$='{session_id}']"), "its end")
    assert page.stack.api.get(f"/api/sessions/{session_id}").status_code == 404
