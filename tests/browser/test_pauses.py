"""What the user decides of tools in doubt and used-up budgets, and what goes on by itself."""

from tests.browser.page import Page

SLOW = '/call act {"seconds": 25}'


def test_killed_executors_lose_and_double_nothing_and_ask_where_nobody_knows(page: Page) -> None:
    page.open_chat("echo")
    page.say("/emit 80 every 40")
    page.until(lambda: "20" in page.answer().text, "a part of the answer")
    with page.second_tab():
        page.open_chat("careful")
        page.say(SLOW)
        page.until(lambda: "running" in page.find("details[data-tool=act]").text, "a running tool")
        # A tab in the background reads on as well; both wait for the same lease to lapse.
        assert page.stack.kill_executors() > 0
        page.press("Enter its result")
        page.find(".decide textarea").send_keys('"acted, as the log says"')
        page.press("Go on with this result")
        page.ended_as("COMPLETED")
        tool = page.find("details[data-tool=act]")
        tool.find_element("tag name", "summary").click()
        assert "as the log says" in tool.text
    page.ended_as("COMPLETED")
    run = page.stack.run(page.run_id())
    assert run["attempt"] == 2
    assert page.text_of_last() == run["output"]


def test_a_used_up_budget_is_raised(page: Page) -> None:
    page.open_chat("careful")
    page.say(" then ".join(f'/call act {{"seconds": 0.{number}}}' for number in range(3)))
    page.button("Raise and go on")
    page.find(".decide input[step='1']").send_keys("100000")
    page.press("Raise and go on")
    page.ended_as("COMPLETED")
    assert page.text_of_last() == page.stack.run(page.run_id())["output"]
