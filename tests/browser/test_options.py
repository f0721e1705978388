"""Runs with options of their own, and what can be done about those that fail."""

from tests.browser.page import Page


def _set(page: Page, label: str, value: str) -> None:
    field = f"//form[contains(@class, 'composer')]//*[@id=//label[starts-with(., '{label}')]/@for]"
    page.driver.find_element("xpath", field).send_keys(value)


def test_options_go_with_a_message_and_what_is_refused_is_edited(page: Page) -> None:
    page.open_chat("choosy")
    page.find(".options summary").click()
    models = [one.text for one in page.find(".options select").find_elements("tag name", "option")]
    assert models == ["demo, the default", "bedrock:eu.amazon.nova-micro-v1:0"]
    _set(page, "System prompt", "Be short.")
    _set(page, "Temperature", "5")
    page.say("Hello")
    page.find_text(".notice.error", "temperature")
    page.press("Edit and send again", within=".notice")
    page.press("Reset")
    _set(page, "Tokens of the run", "1")
    page.find("#message").click()
    page.type(" again")
    page.press("Send")
    # One step is never cut, so a run of one completes; its budget stands in its record.
    page.ended_as("COMPLETED")
    assert page.stack.run(page.run_id())["input"] == "Hello again"
    page.driver.refresh()
    page.find_text(".options summary", "(1)")
    page.find_text("article.answer", "Hello again")
    assert [one.text for one in page.all(".question .said")] == ["Hello again"]


def test_a_failed_run_is_asked_again(page: Page) -> None:
    page.open_chat("echo")
    page.say("/fail")
    page.ended_as("FAILED")
    first = page.run_id()
    page.press("Ask again")
    page.until(lambda: len(page.all("article.answer")) == 2, "a second answer")
    page.ended_as("FAILED")
    assert page.run_id() != first
    assert page.stack.run(page.run_id())["input"] == "/fail"
