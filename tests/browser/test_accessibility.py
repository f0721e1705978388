"""The page without a mouse, without eyes, and as the system's settings ask for it."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.axe import serious_violations
from tests.browser.page import Page

PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
# All that is said to a screen reader while it listens.
LISTEN = """
window.heard = [];
const look = () => document.querySelectorAll("[aria-live], [role=status], [role=alert]").forEach(
  (one) => { const said = one.textContent.trim();
    if (said && said !== one.lastSaid) window.heard.push(said);
    one.lastSaid = said; });
const all = {subtree: true, childList: true, characterData: true};
new MutationObserver(look).observe(document.body, all);
"""


# What reaches beyond the page.
TOO_WIDE = """
return [...document.querySelectorAll("body *")]
  .filter((one) => one.getBoundingClientRect().right > innerWidth && !one.closest(".scrolls"))
  .map((one) => one.outerHTML.slice(0, 80));
"""


@contextmanager
def _media(page: Page, **features: str) -> Iterator[None]:
    asked = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
    page.command("Emulation.setEmulatedMedia", features=asked)
    try:
        yield
    finally:
        page.command("Emulation.setEmulatedMedia", features=[])


def _tab_to(page: Page, name: str, key: str = Keys.TAB, *, shift: bool = False) -> None:
    """Press Tab until something of this name, or with this id, has the focus."""
    for _ in range(60):
        page.type(Keys.SHIFT + key if shift else key)
        if name in (page.focused(), page.focused_id()):
            outline = page.script(
                "const style = getComputedStyle(document.activeElement);"
                "return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0"
            )
            assert outline, f"{name} has the focus, which cannot be seen"
            return
    raise AssertionError(f"No way to {name}")


def test_a_whole_conversation_needs_no_mouse(page: Page) -> None:
    page.open_chat("finance_agent")
    page.script("document.activeElement.blur()")
    page.type(Keys.TAB)
    assert page.focused() == "Skip to content"
    page.type(Keys.ENTER)
    _tab_to(page, "message")
    page.type("Buy 1 AAPL", Keys.ENTER)
    page.button("Approve")
    _tab_to(page, "Edit", shift=True)
    page.type(Keys.ENTER)
    focused = "return document.activeElement.className"
    page.until(lambda: page.script(focused) == "code", "the focus in the form")
    page.type(Keys.ESCAPE)
    page.until(lambda: page.focused() == "Approve", "the focus back on the buttons")
    page.type(Keys.ENTER)
    page.until(lambda: page.focused_id() == "message", "the focus in the composer")
    page.ended_as("COMPLETED")
    page.type("What is the price of MSFT?", Keys.ENTER)
    page.until(lambda: len(page.all("article.answer")) == 2, "a second answer")
    page.ended_as("COMPLETED")
    _tab_to(page, "Inspect", shift=True)
    page.type(Keys.ENTER)
    page.find(".timeline")
    page.until(lambda: page.script("return document.activeElement.tagName") == "MAIN", "main")


def test_a_screen_reader_hears_of_states_and_whole_answers_only(page: Page) -> None:
    page.open_chat("echo")
    page.script(LISTEN)
    page.say("/emit 60 every 20")
    page.ended_as("COMPLETED")
    answer = page.text_of_last()
    page.until(
        lambda: any(answer.strip() in one for one in page.script("return heard")), "the answer"
    )
    heard = page.script("return heard")
    assert len(heard) <= 4, heard
    assert heard[0] == "The agent is at work."


def test_landmarks_headings_and_names_are_there(page: Page) -> None:
    page.open_chat("analyst")
    page.say("What is 3 * 4?")
    page.ended_as("COMPLETED")
    page.command("Accessibility.enable")
    nodes = page.command("Accessibility.getFullAXTree")["nodes"]
    page.command("Accessibility.disable")
    seen = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"]
    ]
    roles = [role for role, _ in seen]
    for role in ("banner", "navigation", "complementary", "main"):
        assert roles.count(role) == 1, role
    assert ("main", "Chat with Analyst") in seen
    assert ("heading", "Analyst") in seen
    assert ("article", "Answer") in seen
    assert ("textbox", "Message to Analyst") in seen
    unnamed = [role for role, name in seen if role in {"button", "link", "textbox"} and not name]
    assert unnamed == []
    assert page.script("return document.title") == "Analyst · Agentrun"


def test_nothing_moves_that_should_not(page: Page) -> None:
    page.open_chat("echo")
    running = "return document.getAnimations().filter((one) => one.playState === 'running').length"
    with _media(page, prefers_reduced_motion="reduce"):
        page.say("/emit 40 every 40")
        page.find(".working")
        assert page.script(running) == 0
        page.ended_as("COMPLETED")
    page.say("/emit 1000 every 50")
    page.until(lambda: page.script(running) > 0, "a movement")
    page.press("Stop")
    page.ended_as("CANCELLED")


def test_forced_colours_leave_the_current_page_and_view_visible(page: Page) -> None:
    run_id = page.stack.api.post("/api/agents/echo/runs", json={"message": "Hi"}).json()["runId"]
    page.open(f"#/runs/{run_id}")
    page.find(".timeline")
    style = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    with _media(page, forced_colors="active"):
        current = page.script(style, "nav a[aria-current]", "borderBottomColor")
        other = page.script(style, "nav a:not([aria-current])", "borderBottomColor")
        assert current != other
        assert page.script(style, "[aria-pressed=true]", "outlineStyle") == "solid"
        assert serious_violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_of_twice_the_size_fits_a_phone(page: Page, scheme: str) -> None:
    page.open_chat("analyst")
    page.say("What is 3 * 4?")
    page.ended_as("COMPLETED")
    run_id = page.run_id()
    page.command("Emulation.setDeviceMetricsOverride", **PHONE)
    try:
        with _media(page, prefers_color_scheme=scheme):
            for path, selector in {
                "": ".composer",
                "#/runs": "tr[data-run-id]",
                f"#/runs/{run_id}": ".timeline li",
            }.items():
                if path:
                    page.open(path)
                page.find(selector)
                page.script("document.documentElement.style.fontSize = '200%'")
                width = page.script("return document.documentElement.scrollWidth")
                assert width == PHONE["width"], page.script(TOO_WIDE)
                assert serious_violations(page) == []
    finally:
        page.command("Emulation.clearDeviceMetricsOverride")
