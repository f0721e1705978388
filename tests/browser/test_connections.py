"""What becomes of a conversation when tabs, networks and servers come and go."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import Chrome

from tests.browser.page import Page
from tests.browser.stack import free_ports, running_stack


def test_two_tabs_show_the_same_run(page: Page) -> None:
    session_id = page.open_chat("echo")
    page.say("/emit 60 every 60")
    page.until(lambda: "10" in page.answer().text, "a part of the answer")
    with page.second_tab():
        page.open_chat("echo", session_id)
        page.ended_as("COMPLETED")
        output = page.stack.run(page.run_id())["output"]
        assert page.text_of_last() == output
        page.say("And now?")
        page.until(lambda: len(page.all("article.answer")) == 2, "a second answer")
        page.ended_as("COMPLETED")
    page.until(lambda: len(page.all("article.answer")) == 2, "what the other tab has said")
    assert page.answer(0).find_element("css selector", "[data-text]").text.strip() == output.strip()


@contextmanager
def _no_network(page: Page) -> Iterator[None]:
    conditions = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    command = "Network.emulateNetworkConditions"
    page.driver.execute_cdp_cmd("Network.enable", {})
    page.driver.execute_cdp_cmd(command, {"offline": True, **conditions})
    try:
        yield
    finally:
        page.driver.execute_cdp_cmd(command, {"offline": False, **conditions})
        page.driver.execute_cdp_cmd("Network.disable", {})


def test_what_is_said_without_a_network_is_answered_once_there_is_one(page: Page) -> None:
    session_id = page.open_chat("echo")
    page.say("One")
    page.ended_as("COMPLETED")
    with _no_network(page):
        assert "offline" in page.find(".notice.warning").text
        page.say("/emit 20 every 20")
        page.until(lambda: "broke" in page.find(".working").text, "a vain attempt")
    page.until(lambda: len(page.all("article.answer")) == 2, "a second answer")
    page.ended_as("COMPLETED")
    runs = page.stack.api.get(f"/api/sessions/{session_id}/runs").json()
    assert [run["input"] for run in runs] == ["One", "/emit 20 every 20"]
    assert page.text_of_last() == runs[1]["output"]
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


def test_a_conversation_outlives_its_server_or_says_that_it_has_not(
    browser: Chrome, tmp_path: Path
) -> None:
    ports = free_ports()
    with running_stack(tmp_path, ports=ports, persists=True) as stack:
        page = Page(browser, stack)
        session_id = page.open_chat("echo")
        page.say("One")
        page.ended_as("COMPLETED")
    page.say("Two")
    page.find_text(".working", "broke")
    with running_stack(tmp_path, ports=ports, persists=True) as stack:
        page.until(lambda: len(page.all("article.answer")) == 2, "a second answer")
        page.ended_as("COMPLETED")
        runs = stack.api.get(f"/api/sessions/{session_id}/runs").json()
        assert [run["input"] for run in runs] == ["One", "Two"]
        page.say("/emit 1000 every 100")
        page.until(lambda: "5" in page.answer().text, "a part of a third")
    with running_stack(tmp_path, ports=ports):
        page.find_text(".notice.error", "does not know this run")
        page.driver.refresh()
        page.find_text(".notice.warning", "does not know this conversation")
        page.find_text(".notice.error", "does not know this run")
        page.say("Three")
        page.until(lambda: page.answer().text.startswith("Three"), "an answer")
        page.ended_as("COMPLETED")
        page.open("#/runs")
        page.find_text("main [role=status]", "No more runs")
        assert len(page.all("tr[data-run-id]")) == 1
    browser.get("about:blank")
