"""The deployed page: somebody signs in at an issuer, is renewed, and signs out."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from selenium.webdriver import Chrome

from tests.browser.axe import serious_violations
from tests.browser.deployed.rig import Deployed, running_deployment
from tests.browser.page import Page
from tests.browser.stack import Stack
from tests.browser.test_pages import PHONE

SESSION, ATTEMPT = "agentrun:playground:session", "agentrun:playground:attempt"


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with running_deployment(tmp_path_factory.mktemp("deployed")) as deployed:
        yield deployed


@pytest.fixture
def site(browser: Chrome, deployed: Deployed) -> Iterator[Page]:
    """Return the page in a tab that nobody has signed in with yet."""
    with httpx.Client(base_url=deployed.url) as api:
        page = Page(browser, Stack(deployed.url, 0, api))
        browser.get_log("browser")
        with page.second_tab():
            yield page
            faults = [
                entry["message"]
                for entry in browser.get_log("browser")
                if "Content Security Policy" in entry["message"] or entry["source"] == "javascript"
            ]
            # Of the issuer, too.
            browser.delete_all_cookies()
    assert faults == []


def kept(page: Page, key: str = SESSION) -> dict[str, Any]:
    """Return what the tab keeps."""
    text = page.script("return sessionStorage.getItem(arguments[0])", key)
    return json.loads(text) if text else {}


def keep(page: Page, **changes: object) -> None:
    """Change what the tab keeps."""
    session = {**kept(page), **changes}
    session = {name: value for name, value in session.items() if value is not None}
    page.script("sessionStorage.setItem(arguments[0], arguments[1])", SESSION, json.dumps(session))


def sign_in(page: Page, user: str = "ana") -> None:
    """Sign in with the issuer's own form, and agree to what the page asks for."""
    page.press("Sign in")
    page.find("input[name=login]").send_keys(user)
    page.find("input[name=password]").send_keys("any")
    page.find("button[type=submit]").click()
    agree(page)


def agree(page: Page) -> None:
    page.until(lambda: page.all("form input[name=prompt][value=consent]"), "a question")
    page.find("button[type=submit]").click()


def test_somebody_signs_in_and_comes_back_to_where_they_were(site: Page) -> None:
    site.open("#/chat/echo")
    sign_in(site)
    site.say("From the deployed page")
    site.ended_as("COMPLETED")
    assert site.text_of_last() == "From the deployed page"
    # The code is gone from the address, and from what a reload would send.
    assert site.driver.current_url.startswith(f"{site.stack.url}/#/chat/echo")
    assert kept(site, ATTEMPT) == {}
    site.driver.refresh()
    site.find("article.answer")


def test_the_issuer_is_asked_with_pkce_and_nothing_that_was_used_before(
    site: Page, deployed: Deployed
) -> None:
    asked = []
    for _ in range(2):
        site.open()
        site.press("Sign in")
        site.until(lambda: site.driver.current_url.startswith(deployed.issuer), "the issuer")
        site.driver.get(f"{deployed.url}/favicon.svg")
        asked.append(kept(site, ATTEMPT))
    for name in ("state", "nonce", "verifier"):
        assert len({attempt[name] for attempt in asked}) == 2
        assert all(len(attempt[name]) >= 43 for attempt in asked)


def test_an_answer_with_another_state_is_refused(site: Page, deployed: Deployed) -> None:
    site.open()
    site.press("Sign in")
    site.until(lambda: site.driver.current_url.startswith(deployed.issuer), "the issuer")
    given = deployed.events("authorization_code.consumed")
    answer = f"?code=made-up&state=anothers&iss={deployed.issuer}&error_description=Call+me"
    site.driver.get(f"{deployed.url}/{answer}")
    assert "state" in site.find(".notice.error").text
    assert "Call me" not in site.find(".notice.error").text
    assert "?" not in site.driver.current_url
    assert kept(site) == {}
    # An attempt is good for one answer, and a tab without one takes none.
    site.driver.get(f"{deployed.url}/{answer}")
    site.until(lambda: "did not begin in this tab" in site.find(".notice.error").text, "a reason")
    assert deployed.events("authorization_code.consumed") == given
    sign_in(site)
    site.find("#message")


def test_a_sign_in_that_the_user_gives_up_says_so(site: Page) -> None:
    site.open()
    site.press("Sign in")
    site.find("input[name=login]")
    site.driver.find_element("css selector", "a[href*=abort]").click()
    assert "aborted" in site.find(".notice.error").text


def test_a_token_that_has_ended_is_renewed_without_a_visit(site: Page, deployed: Deployed) -> None:
    site.open("#/chat/echo")
    sign_in(site)
    site.find("#message")
    first = kept(site)["token"]
    given = deployed.events("access_token.issued")
    keep(site, token="ended", endsAt=0)
    site.driver.refresh()
    site.say("Still here")
    site.ended_as("COMPLETED")
    renewed = kept(site)
    assert renewed["token"] not in {"ended", first}
    # The fresh one is kept.
    assert deployed.events("access_token.issued") == given + 1


def test_a_refresh_token_that_is_refused_has_the_user_sign_in_again(site: Page) -> None:
    site.open("#/chat/echo")
    sign_in(site)
    site.find("#message")
    keep(site, endsAt=0, refreshToken="revoked")
    site.driver.refresh()
    site.button("Sign in")
    assert kept(site) == {}


def test_a_sign_in_that_ends_leaves_the_page_as_it_is_and_the_next_is_one_click(
    site: Page,
) -> None:
    site.open("#/chat/echo")
    sign_in(site)
    site.find("#message")
    # As of an issuer that gives no refresh token.
    keep(site, endsAt=0, refreshToken=None)
    session_id = site.open_chat("echo")
    site.find("#message").send_keys("Half a thou")
    site.button("Sign in again")
    assert site.find("#message").get_attribute("value") == "Half a thou"
    site.press("Sign in again")
    # The issuer knows the browser, and wants no name.
    agree(site)
    site.find("#message")
    assert site.driver.current_url.endswith(f"#/chat/echo/{session_id}")


def test_the_way_out_fits_on_a_phone(site: Page) -> None:
    site.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    try:
        site.open()
        sign_in(site)
        button = site.button("Sign out")
        assert site.script("return document.documentElement.scrollWidth") == PHONE["width"]
        assert button.rect["height"] <= site.find("header").rect["height"]
    finally:
        site.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_sign_out_leaves_nothing_behind(site: Page, deployed: Deployed) -> None:
    site.open()
    sign_in(site)
    site.find("#message")
    revoked = deployed.events("refresh_token.destroyed")
    site.press("Sign out")
    site.until(lambda: site.driver.current_url.startswith(deployed.issuer), "the issuer")
    said = parse_qs(urlsplit(site.driver.current_url).query)
    assert said["post_logout_redirect_uri"] == [f"{deployed.url}/"]
    site.driver.find_element("css selector", "button[name=logout]").click()
    site.button("Sign in")
    assert kept(site) == {}
    assert deployed.events("refresh_token.destroyed") == revoked + 1


def test_the_reference_tries_requests_with_the_token_of_the_sign_in(site: Page) -> None:
    site.open("docs")
    sign_in(site)
    # It comes back to the reference, whose only server is the page's own origin.
    site.until(lambda: site.all(".swagger-ui .opblock"), "operations")
    assert site.driver.current_url == f"{site.stack.url}/docs/"
    operation = site.find("[id$=-listAgents]")
    operation.find_element("css selector", ".opblock-summary-control").click()
    site.press("Try it out")
    site.press("Execute")
    url = site.find(".request-url pre").text
    assert url.startswith(f"{site.stack.url}/api/agents")
    assert site.find(".live-responses-table .response .response-col_status").text.startswith("200")


@pytest.mark.parametrize("path", ["", "docs/"])
def test_the_page_that_asks_to_sign_in_has_no_serious_violation(site: Page, path: str) -> None:
    site.open(path)
    site.button("Sign in")
    assert serious_violations(site) == []


def test_pages_have_the_headers_of_the_distribution_and_answers_those_of_the_api(
    deployed: Deployed,
) -> None:
    page = httpx.get(f"{deployed.url}/").headers
    assert f"connect-src 'self' {deployed.issuer}" in page["content-security-policy"]
    assert page["cache-control"] == "no-cache"
    answer = httpx.get(f"{deployed.url}/api/v1/health")
    assert answer.json() == {"status": "UP"}
    assert "connect-src" not in answer.headers["content-security-policy"]
