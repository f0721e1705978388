"""
Check that a tag can be released, and print what the changelog says about its version.

Usage: python .github/release_notes.py v0.1.0
"""

import json
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IN_CODE = {
    "clients/python/src/agentrun_client/version.py": r'^__version__ = "(.+)"$',
    "layers/core/agentrun/http/openapi/document.py": r'^VERSION = "(.+)"$',
}
"""Files that say their version to whom they talk, and the line that has it."""


class NotReadyError(Exception):
    """The tag, a package and the changelog do not agree; the message has a line for each fault."""


def release_notes(tag: str, root: Path = ROOT) -> str:
    """
    Return the changelog's section of a version, without its heading.

    Args:
        tag: `v` and a version, as in `v0.1.0`.
        root: The checkout's folder.

    Raises:
        NotReadyError: A package has another version, or the changelog has no dated section of this.
    """
    version = tag.removeprefix("v")
    faults = [
        f"{name}: the version is {found}, and the tag is {tag}"
        for name, found in versions(root).items()
        if f"v{found}" != tag
    ]
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    section = re.search(
        rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d\n(.*?)(?=^## \[|\Z)",
        changelog,
        re.DOTALL | re.MULTILINE,
    )
    if section is None:
        faults.append(f"CHANGELOG.md: no heading '## [{version}] - ' with the release's date")
    if faults or section is None:
        raise NotReadyError("\n".join(faults))
    return section[1].strip()


def versions(root: Path = ROOT) -> dict[str, str]:
    """Return the version that each released package states, by the file that states it."""
    found = {
        name: tomllib.loads((root / name).read_text(encoding="utf-8"))["project"]["version"]
        for name in ("pyproject.toml", "clients/python/pyproject.toml")
    }
    package = "clients/typescript/package.json"
    found[package] = json.loads((root / package).read_text(encoding="utf-8"))["version"]
    for name, pattern in IN_CODE.items():
        stated = re.search(pattern, (root / name).read_text(encoding="utf-8"), re.MULTILINE)
        found[name] = stated[1] if stated else "not stated"
    return found


if __name__ == "__main__":
    try:
        print(release_notes(sys.argv[1]))
    except NotReadyError as error:
        sys.exit(str(error))
