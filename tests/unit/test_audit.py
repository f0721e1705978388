"""What `make audit` makes of what pip-audit reports."""

import re
from typing import Any

import pytest

from requirements.audit import DEPLOYED, NOT_LOOKED_UP, ROOT, UNREACHABLE, verdict

CLEAN = {"name": "pyjwt", "version": "2.15.1", "vulns": []}
SKIPPED = {"name": "pyyaml", "skip_reason": "not found"}
VULNERABLE = {
    "name": "starlette",
    "version": "1.0.0",
    "vulns": [
        {"id": "PYSEC-1", "fix_versions": ["1.0.1", "1.1.0"], "aliases": [], "description": ""},
        {"id": "PYSEC-2", "fix_versions": [], "aliases": [], "description": ""},
    ],
}


def judged(*packages: dict[str, Any]) -> tuple[int, list[str]]:
    return verdict({"dependencies": list(packages), "fixes": []})


def test_a_known_vulnerability_fails_and_is_named_once() -> None:
    # A package of two locks is reported twice.
    assert judged(CLEAN, VULNERABLE, SKIPPED, VULNERABLE) == (
        1,
        [
            "starlette 1.0.0: PYSEC-1, fixed in 1.0.1, 1.1.0",
            "starlette 1.0.0: PYSEC-2, fixed in no version yet",
        ],
    )


def test_none_passes_and_says_what_was_not_looked_up() -> None:
    assert judged(CLEAN, CLEAN) == (0, ["1 packages looked up, no known vulnerabilities."])
    assert judged(CLEAN, SKIPPED)[1][1:] == ["Not in the list: pyyaml."]


def test_an_index_without_the_data_is_not_taken_for_a_clean_bill() -> None:
    assert judged(SKIPPED, SKIPPED) == (0, [NOT_LOOKED_UP])


@pytest.mark.parametrize(
    ("said", "unreachable"),
    [
        ("requests.exceptions.ConnectionError: HTTPSConnectionPool(…)", True),
        ("requests.exceptions.ProxyError: HTTPSConnectionPool(…)", True),
        ("ERROR:pip_audit._cli:Could not connect to PyPI's vulnerability feed", True),
        ("ERROR:pip_audit._cli:requirement fastapi is not pinned", False),
    ],
)
def test_only_a_network_that_is_not_there_is_excused(said: str, unreachable: bool) -> None:
    assert bool(UNREACHABLE.search(f"Traceback:\n  File …\n{said}\n")) == unreachable


@pytest.mark.parametrize("name", [*DEPLOYED, "dev"])
def test_every_package_is_pinned_with_its_hashes(name: str) -> None:
    lock = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    entries = re.findall(r"^[^\s#].*(?:\n +--hash=.*)*", lock, re.MULTILINE)
    assert len(entries) > 5
    assert [e for e in entries if "==" not in e or "--hash=sha256:" not in e] == []
