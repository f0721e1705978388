"""What leaves the page: by the clipboard, as a file, and back into the composer."""

import json
from pathlib import Path

from tests.browser.page import Page

CODE = 'print("one")\n\n\nprint("two")'
MESSAGE = f"Look:\n\n```python\n{CODE}\n```\n\nThat was it."


def test_answers_code_and_conversations_are_copied(page: Page) -> None:
    page.open_chat("echo")
    page.say_whole(MESSAGE)
    page.ended_as("COMPLETED")
    page.press("Copy code")
    assert page.copied(CODE) == CODE
    assert page.find(".code-block .bar span").text == "python"
    page.press("Copy answer")
    assert page.copied(MESSAGE) == page.text_of_last() == MESSAGE
    page.press("Copy as Markdown")
    whole = f"# Conversation with Echo\n\n## You\n\n{MESSAGE}\n\n## Echo\n\n{MESSAGE}\n"
    assert page.copied("# ") == whole


def test_a_conversation_is_saved(page: Page, tmp_path: Path) -> None:
    session_id = page.open_chat("echo")
    page.say("Keep this")
    page.ended_as("COMPLETED")
    page.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    page.press("Save as JSON")
    file = tmp_path / f"echo-{session_id}.json"
    page.until(file.exists, "a file")
    question, answer = json.loads(file.read_text())["messages"]
    assert question == {"role": "user", "text": "Keep this"}
    assert answer["runId"] == page.run_id()
    assert answer["text"] == page.text_of_last()


def test_a_run_is_copied_as_its_id_and_as_a_request(page: Page) -> None:
    message = "It's a test"
    body = {"message": message}
    run_id = page.stack.api.post("/api/agents/echo/runs", json=body).json()["runId"]
    page.open(f"#/runs/{run_id}")
    page.press("Copy run id")
    assert page.copied(run_id) == run_id
    page.press("Copy as curl")
    line = page.copied("curl ")
    again = page.stack.shell(line)
    assert '"agentId\\":\\"echo\\"' in again
    assert run_id not in again
    new_run = json.loads(json.loads(again.split("data: ")[1].splitlines()[0])["data"])["runId"]
    assert page.stack.run(new_run)["input"] == message


def test_a_message_is_edited_and_sent_again(page: Page) -> None:
    page.open_chat("echo")
    page.say("One")
    page.ended_as("COMPLETED")
    page.press("Edit and send again")
    assert page.focused_id() == "message"
    assert page.find("#message").get_attribute("value") == "One"
    page.type(" more")
    page.press("Send")
    page.until(lambda: len(page.all("article.answer")) == 2, "a second answer")
    page.ended_as("COMPLETED")
    assert page.text_of_last() == "One more"
