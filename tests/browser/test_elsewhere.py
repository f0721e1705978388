"""The same files on any file server, with a token that the user enters."""

from pathlib import Path

from tests.browser.elsewhere import served_elsewhere
from tests.browser.page import Page


def test_another_origin_asks_for_a_token(page: Page, tmp_path: Path) -> None:
    token = page.stack.api.headers["Authorization"].removeprefix("Bearer ")
    with served_elsewhere(tmp_path, page.stack.url) as url:
        page.driver.get(f"{url}/#/chat/echo")
        page.find("#token").send_keys("no-token")
        page.press("Use it")
        page.driver.refresh()
        page.find(".notice.error")
        page.find("#token").send_keys(token)
        page.press("Use it")
        page.say("From elsewhere")
        page.ended_as("COMPLETED")
        assert page.text_of_last() == "From elsewhere"
        page.driver.get("about:blank")
