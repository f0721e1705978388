"""Files that go with messages: how they come, which are refused, and what is left of them."""

import base64
from pathlib import Path

import pytest

from tests.browser.page import Page

DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"

# A file as a page is handed it: from the clipboard, or dropped.
HAND_OVER = """
const [place, how, name, type, base64] = arguments;
const data = new DataTransfer();
const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
data.items.add(new File([bytes], name, {type}));
place.dispatchEvent(how === "paste"
  ? new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true})
  : new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
"""


# Whether the browser has something of a run's files. Opening a database that is not there makes it.
KEPT = """
const [runId, done] = arguments;
indexedDB.databases().then((all) => {
  if (!all.some(({name}) => name === "agentrun-playground")) return done(false);
  indexedDB.open("agentrun-playground").onsuccess = ({target: {result: database}}) => {
    const found = database.transaction("files").objectStore("files").count(runId);
    found.onsuccess = () => done(found.result > 0);
    database.close();
  };
});
"""


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Return a red dot."""
    file = tmp_path / "dot.png"
    file.write_bytes(DOT)
    return file


def _pick(page: Page, *files: Path) -> None:
    page.find("input[type=file]").send_keys("\n".join(str(file) for file in files))


def _is_kept(page: Page, run_id: str) -> bool:
    return bool(page.driver.execute_async_script(KEPT, run_id))


def test_pictures_and_documents_come_by_button_paste_and_drop(page: Page, picture: Path) -> None:
    page.open_chat("analyst")
    _pick(page, picture)
    page.find(".chip img")
    for how, name, kind, content in (
        ("paste", "pasted.png", "image/png", DOT),
        ("drop", "paper.pdf", "application/pdf", PDF),
    ):
        encoded = base64.b64encode(content).decode()
        page.script(HAND_OVER, page.find("#message"), how, name, kind, encoded)
        page.find(f".chips [aria-label='Remove {name}']")
    page.press("Remove pasted.png")
    page.until(lambda: len(page.all(".chips .chip")) == 2, "one file less")
    page.say("What is this?")
    page.ended_as("COMPLETED")
    assert "image/png" in page.text_of_last()
    assert "application/pdf" in page.text_of_last()
    assert page.find(".question img").is_displayed()
    assert page.find(".question .chip").text == "paper.pdf"


def test_files_are_shown_again_in_a_conversation_that_is_opened_anew(
    page: Page, picture: Path
) -> None:
    session_id = page.open_chat("analyst")
    _pick(page, picture)
    page.find(".chip img")
    page.say("Look at this")
    page.ended_as("COMPLETED")
    run_id = page.run_id()
    page.until(lambda: _is_kept(page, run_id), "a preview in the browser")
    page.script("sessionStorage.clear()")
    page.open_chat("analyst", session_id)
    page.find(".question img[alt='Attached, dot.png']")
    page.script("window.confirm = () => true")
    page.press("Delete Look at this")
    page.until(lambda: not _is_kept(page, run_id), "its end")


def test_files_beyond_the_limits_are_refused(page: Page, tmp_path: Path, picture: Path) -> None:
    page.open_chat("analyst")
    large = tmp_path / "large.png"
    large.write_bytes(bytes(4 * 1024 * 1024 + 1))
    many = [tmp_path / f"{number}.png" for number in range(11)]
    notes = tmp_path / "notes.txt"
    for file in (*many, notes):
        file.write_bytes(DOT)
    for files, words in (([large], "4 MiB"), (many, "At most 10"), ([notes], "notes.txt")):
        _pick(page, *files)
        page.find_text(".composer .failure", words)
        assert page.all(".chip") == []
    _pick(page, picture)
    page.find(".chip img")
    assert page.all(".composer .failure") == []
