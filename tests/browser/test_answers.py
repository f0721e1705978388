"""Answers of every shape: long, wide, from right to left, and with links."""

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
