"""One stack and one browser for all tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from tests.browser.page import Page
from tests.browser.stack import ROOT, Stack, running_stack

# Of what failed; of all with SCREENSHOTS=1.
SCREENSHOTS = ROOT / ".agentrun/screenshots"
CHROMIUM = Path("/usr/bin/chromium")
DRIVER = Path("/usr/bin/chromedriver")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.fixture(scope="session")
def browser() -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in (
        "--headless=new",
        # Chromium's sandbox cannot be had as root, as containers run it.
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--window-size=1200,900",
        "--lang=en",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(str(DRIVER)))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def page(browser: Chrome, stack: Stack, request: pytest.FixtureRequest) -> Iterator[Page]:
    browser.get_log("browser")
    failed_before = request.session.testsfailed
    yield Page(browser, stack)
    if os.environ.get("SCREENSHOTS") or request.session.testsfailed > failed_before:
        keep_screenshot(browser, request.node.name)
    # What breaks the page's policy, or is thrown, is a fault that no other look would find.
    faults = [
        entry["message"]
        for entry in browser.get_log("browser")
        if "Content Security Policy" in entry["message"] or entry["source"] == "javascript"
    ]
    assert faults == []


def keep_screenshot(browser: Chrome, name: str) -> None:
    """Keep what the browser shows at a test's end."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    browser.save_screenshot(str(SCREENSHOTS / f"{name}.png"))
