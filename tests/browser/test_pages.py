"""Each screen in light and dark and on a phone, and the reference."""

import pytest

from tests.browser.axe import serious_violations
from tests.browser.page import Page

PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}


@pytest.fixture(scope="module")
def sessions() -> dict[str, str]:
    """Return conversations that the tests share, by what is in them."""
    return {}


def _conversation_with_all(page: Page, sessions: dict[str, str]) -> None:
    """Open a conversation with a tool that has run, and an order that waits."""
    if "all" in sessions:
        page.open_chat("finance_agent", sessions["all"])
    else:
        sessions["all"] = page.open_chat("finance_agent")
        page.say("What is the price of MSFT?")
        page.ended_as("COMPLETED")
        page.say("Buy 3 MSFT")
    page.button("Approve")


def _show(page: Page, scheme: str) -> None:
    feature = {"name": "prefers-color-scheme", "value": scheme}
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_screen_has_a_serious_violation(
    page: Page, sessions: dict[str, str], scheme: str
) -> None:
    _show(page, scheme)
    try:
        _conversation_with_all(page, sessions)
        page.script("document.querySelectorAll('details').forEach((one) => { one.open = true })")
        assert serious_violations(page) == []
        page.press("Edit", within=".decide")
        assert serious_violations(page) == []
        run_id = page.run_id()
        page.open("#/runs")
        page.find("tr[data-run-id]")
        assert serious_violations(page) == []
        page.open(f"#/runs/{run_id}")
        page.find(".timeline li.paused")
        assert serious_violations(page) == []
        page.press("Raw frames")
        page.until(lambda: "PAUSED" in page.find("pre.raw").text, "the frames")
        assert serious_violations(page) == []
        page.open("#/approvals")
        page.button("Approve")
        assert serious_violations(page) == []
    finally:
        _show(page, "")


def test_nothing_is_wider_than_a_phone(page: Page, sessions: dict[str, str]) -> None:
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    try:
        _conversation_with_all(page, sessions)
        run_id = page.run_id()
        for path, selector in {
            "": ".decide",
            "#/runs": "tr[data-run-id]",
            f"#/runs/{run_id}": ".timeline li",
            "#/approvals": ".decide",
        }.items():
            if path:
                page.open(path)
            page.find(selector)
            assert page.script("return document.documentElement.scrollWidth") == PHONE["width"]
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_theme_can_be_chosen(page: Page) -> None:
    page.open("#/runs")
    page.find("header button").click()
    page.find("header button").click()
    assert page.script("return document.documentElement.style.colorScheme") == "dark"
    page.driver.refresh()
    assert page.find("header button").text.endswith("Dark")
    page.find("header button").click()


def test_the_reference_tries_a_request(page: Page) -> None:
    page.open("docs")
    page.find(".opblock-summary-method")
    assert serious_violations(page) == []
    page.find("#operations-tag-Agents, .opblock-tag")
    operation = "//div[contains(@class,'opblock-get')][.//*[@data-path='/api/agents']]"
    page.until(lambda: page.driver.find_elements("xpath", operation), "an operation")
    block = page.driver.find_element("xpath", operation)
    block.find_element("css selector", ".opblock-summary-control").click()
    page.press("Try it out")
    page.press("Execute")
    page.until(lambda: '"analyst"' in block.text, "an answer")
