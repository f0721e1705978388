"""The recipes of docs/readers.md are the files that `make readers` runs, of the pinned versions."""

import json
from typing import get_args

import pytest

from agentrun.domain.events import TerminalEvent
from tests.readers import page
from tests.readers.roster import NODE, READERS, ROOT, Reader

each_reader = pytest.mark.parametrize(
    "reader", READERS, ids=[f"{reader.name}-{reader.version}" for reader in READERS]
)


def test_there_are_twelve_readers() -> None:
    assert len(READERS) == len(set(READERS)) == 12


@each_reader
def test_a_recipe_is_the_file_that_is_tried(reader: Reader) -> None:
    path = reader.recipe.relative_to(ROOT).as_posix()
    assert page.recipes()[path] == reader.recipe.read_text(encoding="utf-8")


def test_the_page_has_no_recipe_that_is_not_tried() -> None:
    tried = {reader.recipe.relative_to(ROOT).as_posix() for reader in READERS}
    assert set(page.recipes()) == tried


@each_reader
def test_the_tables_name_the_versions_that_are_pinned(reader: Reader) -> None:
    assert page.recipe_rows()[reader][:2] == (f"`{reader.name}`", reader.version)
    if reader.left_open:
        assert page.left_open_rows()[reader][:2] == (f"`{reader.name}`", reader.version)


@each_reader
def test_a_recipe_stops_at_every_terminal_event(reader: Reader) -> None:
    text = reader.recipe.read_text(encoding="utf-8")
    terminal = {each.model_fields["event"].default for each in get_args(TerminalEvent)}
    assert terminal == {"STOP", "ERROR", "PAUSED", "CANCELLED"}
    assert all(f'"{event}"' in text for event in terminal)


def test_the_lock_of_the_npm_packages_names_hashes_and_no_host() -> None:
    lock = json.loads((NODE / "package-lock.json").read_text(encoding="utf-8"))
    packages = [each for path, each in lock["packages"].items() if "node_modules/" in path]
    downloaded = [each for each in packages if not each.get("link")]
    assert len(downloaded) >= 6
    assert all(each["integrity"].startswith("sha512-") for each in downloaded)
    assert not any("://" in each.get("resolved", "") for each in packages)
