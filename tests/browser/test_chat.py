"""Conversations with agents: what is said, shown and decided, and with which options."""

from tests.browser.page import Page


def test_an_answer_is_shown_with_its_tools_and_figures(page: Page) -> None:
    page.open_chat("analyst")
    page.say("What is 17 * 23?")
    page.ended_as("COMPLETED")
    assert "391" in page.text_of_last()
    assert page.text_of_last() == page.stack.run(page.run_id())["output"]
    tool = page.find("details[data-tool=calculate]")
    assert "done" in tool.text
    tool.find_element("tag name", "summary").click()
    assert "17 * 23" in tool.text
    assert "tokens" in page.find("article.answer footer").text
    page.find(".followups button").click()
    page.until(lambda: len(page.all("article.answer")) == 2, "a second answer")


def test_a_reload_in_mid_run_loses_and_doubles_nothing(page: Page) -> None:
    page.open_chat("echo")
    page.say("/emit 80 every 40")
    page.until(lambda: "20" in page.answer().text, "a part of the answer")
    page.driver.refresh()
    page.ended_as("COMPLETED")
    assert page.text_of_last() == page.stack.run(page.run_id())["output"]
    assert len(page.all("article.answer")) == 1


def test_a_call_is_approved(page: Page) -> None:
    page.open_chat("finance_agent")
    page.say("Buy 3 MSFT")
    page.press("Approve")
    page.ended_as("COMPLETED")
    assert "done" in page.find("details[data-tool=place_order]").text


def test_a_call_is_rejected_with_a_reason(page: Page) -> None:
    page.open_chat("finance_agent")
    page.say("Buy 3 MSFT")
    page.press("Reject")
    page.find(".decide input").send_keys("Too dear.")
    page.press("Reject")
    page.ended_as("COMPLETED")
    tool = page.find("details[data-tool=place_order]")
    tool.find_element("tag name", "summary").click()
    assert "Too dear." in tool.text


def test_a_call_is_approved_with_other_arguments(page: Page) -> None:
    page.open_chat("finance_agent")
    page.say("Buy 3 MSFT")
    page.press("Edit", within=".decide")
    field = page.find(".decide textarea")
    field.clear()
    field.send_keys("[1]")
    assert not page.button("Approve with these").is_enabled()
    field.clear()
    field.send_keys('{"symbol": "MSFT", "side": "buy", "shares": 2}')
    page.press("Approve with these")
    page.ended_as("COMPLETED")
    tool = page.find("details[data-tool=place_order]")
    tool.find_element("tag name", "summary").click()
    assert '"shares": 2' in tool.text


def test_a_run_is_stopped(page: Page) -> None:
    page.open_chat("echo")
    page.say("/emit 1000 every 50")
    page.until(lambda: "5" in page.answer().text, "a part of the answer")
    page.press("Stop")
    page.ended_as("CANCELLED")
    assert page.stack.run(page.run_id())["status"] == "CANCELLED"


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
