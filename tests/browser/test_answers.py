"""Answers of every shape, and what leaves the page: as a copy, as a file, and to be edited."""

import json
from pathlib import Path

from tests.browser.axe import serious_violations
from tests.browser.page import Page

WIDE = (
    "| " + " | ".join(f"a wide column {number}" for number in range(30)) + " |\n"
    "|" + "---|" * 30 + "\n"
    "| " + " | ".join(["cell"] * 30) + " |\n\n"
    "```json\n" + '{"long": "' + "x" * 2000 + '"}\n```\n\n' + "y" * 3000
)
# Blank lines inside a list's code, and between its items.
LIST = (
    "1. First:\n\n   ```text\n   one\n\n   - no item\n   ```\n\n2. Second\n\n## After\n\nThe end."
)
ANYWHERE = "[out](https://example.com/a) ![picture](https://example.com/b.png) <b>no</b>"


def test_long_answers_scroll_the_page_downwards_only(page: Page) -> None:
    page.open_chat("echo")
    page.say_whole(WIDE)
    page.ended_as("COMPLETED")
    page.find(".markdown table td")
    assert page.find(".code-block .bar span").text == "json"
    assert page.script(
        "const {scrollWidth, clientWidth} = document.documentElement;"
        "return scrollWidth === clientWidth"
    )
    page.say("/emit 5000")
    page.until(lambda: len(page.all("article.answer")) == 2, "a second answer")
    page.ended_as("COMPLETED")
    assert page.text_of_last() == page.stack.run(page.run_id())["output"]
    bottom = "return Math.round(innerHeight + scrollY - document.documentElement.scrollHeight)"
    page.until(lambda: abs(page.script(bottom)) < 5, "the end of the page in view")


def test_what_belongs_together_is_formatted_together(page: Page) -> None:
    page.open_chat("echo")
    page.say_whole(LIST)
    page.ended_as("COMPLETED")
    page.find(".markdown ol")
    page.until(lambda: len(page.all(".markdown ol > li")) == 2, "one list of two")
    code = page.find(".markdown ol pre").get_attribute("textContent")
    assert code == "one\n\n- no item\n"
    assert [one.text for one in page.all(".markdown h4")] == ["After"]
    assert serious_violations(page) == []


def test_text_runs_from_right_to_left_where_it_is_written_so(page: Page) -> None:
    page.open_chat("echo")
    page.say_whole("שלום עולם\n\nAnd English")
    page.ended_as("COMPLETED")
    direction = (
        "return [...document.querySelectorAll('.markdown p')]"
        ".map((one) => getComputedStyle(one).direction)"
    )
    page.find(".markdown p")
    assert page.script(direction) == ["rtl", "ltr"]
    question = "return getComputedStyle(document.querySelector('.question .said')).direction"
    assert page.script(question) == "rtl"


def test_links_of_an_answer_open_elsewhere_and_load_nothing(page: Page) -> None:
    page.open_chat("echo")
    page.say_whole(ANYWHERE)
    page.ended_as("COMPLETED")
    page.find(".markdown a")
    links = page.all(".markdown a")
    assert [link.text for link in links] == ["out", "picture"]
    for link in links:
        assert link.get_attribute("target") == "_blank"
        assert link.get_attribute("rel") == "noreferrer noopener"
    assert page.all(".markdown img") == []
    assert "<b>no</b>" in page.find(".markdown").text


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
