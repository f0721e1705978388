"""A release: its tag, its packages and its changelog say the same."""

import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = runpy.run_path(str(ROOT / ".github/release_notes.py"))
NotReadyError: type[Exception] = SCRIPT["NotReadyError"]
FORMS = {
    "pyproject.toml": '[project]\nversion = "%s"\n',
    "package.json": '{"version": "%s"}',
    "version.py": '__version__ = "%s"\n',
    "document.py": 'VERSION = "%s"\n',
}
CHANGELOG = """# Changelog

## [Unreleased]

- Later.

## [1.2.0] - 2026-12-01

### Added

- A thing.

## [1.1.0] - 2026-11-01

- Earlier.
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose packages are of version 1.2.0."""
    state(tmp_path, "1.2.0")
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    return tmp_path


def state(folder: Path, version: str, *names: str) -> None:
    """Write a version into all files of a checkout that state one, or into some."""
    for name in names or SCRIPT["versions"]():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(FORMS[path.name] % version)


def notes(tag: str, checkout: Path) -> Any:
    return SCRIPT["release_notes"](tag, checkout)


def test_the_notes_are_the_changelogs_section(checkout: Path) -> None:
    assert notes("v1.2.0", checkout) == "### Added\n\n- A thing."


def test_the_last_section_ends_with_the_file(checkout: Path) -> None:
    state(checkout, "1.1.0")
    assert notes("v1.1.0", checkout) == "- Earlier."


@pytest.mark.parametrize("name", SCRIPT["versions"]())
def test_each_file_with_another_version_is_named(checkout: Path, name: str) -> None:
    state(checkout, "1.1.9", name)
    with pytest.raises(NotReadyError) as refusal:
        notes("v1.2.0", checkout)
    assert str(refusal.value) == f"{name}: the version is 1.1.9, and the tag is v1.2.0"


@pytest.mark.parametrize("heading", ["## [1.2.0]", "## [1.2.0] - soon", "## [1x2.0] - 2026-12-01"])
def test_a_section_without_its_date_is_no_release(checkout: Path, heading: str) -> None:
    changelog = CHANGELOG.replace("## [1.2.0] - 2026-12-01", heading)
    (checkout / "CHANGELOG.md").write_text(changelog)
    with pytest.raises(NotReadyError, match=r"CHANGELOG\.md: no heading"):
        notes("v1.2.0", checkout)


def test_a_tag_without_its_letter_is_refused(checkout: Path) -> None:
    with pytest.raises(NotReadyError, match=r"the tag is 1\.2\.0"):
        notes("1.2.0", checkout)


def test_all_packages_of_this_checkout_state_one_version() -> None:
    assert len(set(SCRIPT["versions"]().values())) == 1
