"""An open page whose server goes away and comes back."""

from pathlib import Path

from selenium.webdriver import Chrome

from tests.browser.page import Page
from tests.browser.stack import free_ports, running_stack


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
