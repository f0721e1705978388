"""The list of runs, one run, and the inbox of approvals."""

import uuid

from tests.browser.page import Page


def test_a_run_is_looked_into(page: Page) -> None:
    page.open_chat("analyst")
    page.say("What is 6 * 7?")
    page.ended_as("COMPLETED")
    run_id = page.run_id()
    page.find("article.answer footer a").click()
    page.find_text(".timeline", "Completed")
    assert "calculate" in page.find(".timeline").text
    assert "First delta after" in page.find(".figures").text
    page.press("Raw frames")
    frames = page.stack.api.get(f"/api/agents/analyst/runs/{run_id}/stream").text
    page.until(lambda: page.find("pre.raw").get_attribute("textContent") == frames, "all frames")


def test_a_run_that_goes_on_is_followed(page: Page) -> None:
    message = "/emit 200 every 40"
    body = {"message": message}
    run_id = page.stack.api.post("/api/agents/echo/runs/background", json=body).json()["runId"]
    page.open(f"#/runs/{run_id}")
    page.find_text(".timeline", "Answer")
    early = page.find(".timeline").text
    assert "Completed" not in early
    page.until(lambda: len(page.find(".timeline").text) > len(early), "more of the answer")
    page.find_text(".timeline", "Completed")
    page.find_text(".status", "COMPLETED")
    page.find_text(".figures", "Took")


def test_a_paused_run_is_followed_when_it_is_continued(page: Page) -> None:
    body = {"message": "Buy 1 NVDA"}
    run = page.stack.api.post("/api/agents/finance_agent/runs", json=body).json()["runId"]
    page.open(f"#/runs/{run}")
    page.find_text(".timeline", "Paused")
    path = f"/api/agents/finance_agent/runs/{run}/continue"
    page.stack.api.post(path, json={"action": "APPROVE"})
    page.find_text(".timeline", "Completed")


def test_a_run_that_is_not_there_says_so(page: Page) -> None:
    page.open(f"#/runs/{uuid.uuid4()}")
    page.find_text(".notice.error", "no such run")


def test_a_run_without_events_still_has_its_answer(page: Page) -> None:
    run = page.stack.api.post("/api/agents/echo/runs", json={"message": "Kept"}).json()["runId"]
    gone = {"type": "urn:problem-type:resource-not-found", "title": "Not Found", "status": 404}
    with page.answered(f"{run}/stream", gone, status=404):
        page.open(f"#/runs/{run}")
        page.find_text(".notice.warning", "kept no longer")
        page.find_text("main > .said", "Kept")


def test_the_list_follows_a_run_to_its_end(page: Page) -> None:
    body = {"message": "/emit 160 every 50"}
    run_id = page.stack.api.post("/api/agents/echo/runs/background", json=body).json()["runId"]
    page.open("#/runs")
    row = page.find(f"tr[data-run-id='{run_id}']")
    assert "COMPLETED" not in row.text
    page.until(lambda: "COMPLETED" in row.text, "the end of the run")


def test_runs_are_paged_and_those_that_are_there_stay(page: Page) -> None:
    for number in range(51):
        page.stack.api.post("/api/agents/echo/runs", json={"message": f"Number {number}"})
    page.open("#/runs")
    for shown in (25, 50):
        page.find_text("main [role=status]", f"The newest {shown} runs")
        rows = page.all("tr[data-run-id]")
        assert len({row.get_attribute("data-run-id") for row in rows}) == shown
        page.press("More")
    page.until(lambda: len(page.all("tr[data-run-id]")) > 50, "the rest")


def test_the_inbox_decides(page: Page) -> None:
    body = {"message": "Buy 1 NVDA"}
    run_id = page.stack.api.post("/api/agents/finance_agent/runs", json=body).json()["runId"]
    page.open("#/approvals")
    pending = f"//article[.//a[@href='#/runs/{run_id}']]"
    page.until(lambda: page.driver.find_elements("xpath", pending), "the approval")
    page.driver.find_element("xpath", f"{pending}//button[.='Approve']").click()
    page.until(lambda: not page.driver.find_elements("xpath", pending), "an empty place")
    assert page.stack.ended(run_id)["status"] == "COMPLETED"
