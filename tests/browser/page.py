"""The playground as a user works it."""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    StaleElementReferenceException,
)
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.stack import WAIT_S, Stack

# What is there in one moment is redrawn or moves in the next: look again.
PASSING = (
    StaleElementReferenceException,
    ElementClickInterceptedException,
    ElementNotInteractableException,
)
# For answers that a real server would not have at hand.
STAND_IN = """
const real = window.fetch;
let isDue = true;
window.fetch = async (input, init) => {
  if (!isDue || !String(input).includes(%s)) return real(input, init);
  isDue = false;
  return new Response(%s, {status: %d, headers: {"Content-Type": "application/json"}});
};
"""


class Page:
    """One browser with the playground in it."""

    def __init__(self, driver: Chrome, stack: Stack) -> None:
        self.driver = driver
        self.stack = stack

    def open(self, path: str = "") -> None:
        """Load a page of the playground afresh."""
        # A change of the fragment alone loads nothing.
        self.driver.get("about:blank")
        self.driver.get(f"{self.stack.url}/{path}")

    def open_chat(self, agent: str, session_id: str | None = None) -> str:
        """Open a conversation; return its id."""
        session_id = session_id or str(uuid.uuid4())
        self.open(f"#/chat/{agent}/{session_id}")
        self.find("#message")
        return session_id

    @contextmanager
    def second_tab(self) -> Iterator[None]:
        """Work in another tab until the end of the block."""
        first = self.driver.current_window_handle
        self.driver.switch_to.new_window("tab")
        try:
            yield
        finally:
            self.driver.close()
            self.driver.switch_to.window(first)

    @contextmanager
    def answered(self, path: str, answer: object, status: int = 200) -> Iterator[None]:
        """In pages that are loaded in the block, answer the first request of a path."""
        source = STAND_IN % (json.dumps(path), json.dumps(json.dumps(answer)), status)
        added = self.command("Page.addScriptToEvaluateOnNewDocument", source=source)
        try:
            yield
        finally:
            self.command("Page.removeScriptToEvaluateOnNewDocument", **added)

    def say(self, message: str) -> None:
        """Send a message."""
        field = self.find("#message")
        field.send_keys(message)
        field.send_keys(Keys.ENTER)

    def say_whole(self, message: str) -> None:
        """Send a message of any length, with characters that would be keys."""
        self.script(
            "arguments[0].focus(); document.execCommand('insertText', false, arguments[1])",
            self.find("#message"),
            message,
        )
        self.press("Send")

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Look again and again until something is so; return what was found."""

        def look(_: Chrome) -> Any:
            return condition()

        wait = WebDriverWait(self.driver, WAIT_S, 0.05, PASSING)
        return wait.until(look, f"never happened: {what}")

    def find(self, selector: str) -> WebElement:
        """Wait for an element."""
        found: list[WebElement] = self.until(lambda: self.all(selector), selector)
        return found[0]

    def find_text(self, selector: str, text: str) -> None:
        """Wait until an element says something."""

        def look() -> bool:
            return any(text in one.text for one in self.all(selector))

        self.until(look, f"{selector} that says {text}")

    def all(self, selector: str) -> list[WebElement]:
        """Return all elements that are there now."""
        found: list[WebElement] = self.driver.find_elements(By.CSS_SELECTOR, selector)
        return found

    def button(self, name: str, within: str = "body") -> WebElement:
        """Wait for a button with this very text or label."""
        named = f"normalize-space()={json.dumps(name)} or @aria-label={json.dumps(name)}"

        def look() -> list[WebElement]:
            parts = self.all(within)
            return [
                one for part in parts for one in part.find_elements(By.XPATH, f".//button[{named}]")
            ]

        found: list[WebElement] = self.until(look, f"a button {name}")
        return found[0]

    def press(self, name: str, within: str = "body") -> None:
        """Press a button, wherever on the page it is."""

        def click() -> bool:
            button = self.button(name, within)
            self.script("arguments[0].scrollIntoView({block: 'center'})", button)
            button.click()
            return True

        self.until(click, f"a way to {name}")

    def type(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def focused(self) -> str:
        """Return the name of what has the focus: its label, else its text, else its id."""
        name: str = self.script(
            "const {activeElement: one} = document;"
            "return one.ariaLabel || one.textContent.trim() || one.id"
        )
        return name

    def focused_id(self) -> str:
        """Return the id of what has the focus."""
        found: str = self.script("return document.activeElement.id")
        return found

    def command(self, name: str, **parameters: object) -> Any:
        """Call a method of the browser's own protocol (CDP)."""
        return self.driver.execute_cdp_cmd(name, parameters)

    def copied(self, beginning: str) -> str:
        """Wait until something that begins so is copied; return it."""
        permissions = ["clipboardReadWrite", "clipboardSanitizedWrite"]
        self.command("Browser.grantPermissions", origin=self.stack.url, permissions=permissions)
        read = "navigator.clipboard.readText().then(arguments[0], arguments[0])"

        def look() -> str | None:
            text = str(self.driver.execute_async_script(read))
            return text if text.startswith(beginning) else None

        return str(self.until(look, f"a copy of {beginning}"))

    def script(self, source: str, *arguments: object) -> Any:
        """Run a script in the page."""
        return self.driver.execute_script(source, *arguments)

    def answer(self, number: int = -1) -> WebElement:
        """Return the last answer, or another."""
        found: list[WebElement] = self.until(lambda: self.all("article.answer"), "an answer")
        return found[number]

    def run_id(self) -> str:
        """Return the id of the last answer's run."""
        return str(self.answer().get_attribute("data-run-id"))

    def text_of_last(self) -> str:
        """Return the last answer as it was received, once its run has ended."""
        self.until(lambda: self.answer().get_attribute("aria-busy") == "false", "an end")
        text = self.answer().find_element(By.CSS_SELECTOR, "[data-text]")
        return str(text.get_attribute("data-text"))

    def ended_as(self, status: str) -> None:
        """Wait until the last answer's run has this status, as the page says."""
        self.until(lambda: self.answer().get_attribute("data-status") == status, status)
