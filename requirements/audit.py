"""Look up the packages that are deployed in a list of known vulnerabilities; needs the network."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TOOL = ROOT / ".venv" / "pip-audit" / "bin" / "pip-audit"
DEPLOYED = ("core", "engine", "agents", "streaming", "providers")
# pip-audit lets its HTTP client's errors through.
UNREACHABLE = re.compile(r"^requests\.exceptions\.\w+:|Could not connect to", re.MULTILINE)
NOT_LOOKED_UP = (
    "No list of vulnerabilities can be reached from here, so no package was looked up. Hashes are"
    " checked all the same, whenever packages are installed."
)


def verdict(report: Mapping[str, Any]) -> tuple[int, list[str]]:
    """
    Judge what pip-audit has found.

    Args:
        report: Its report in its format `json`.

    Returns:
        The exit status, 1 where a package has a known vulnerability, and the lines to print.
    """
    packages: Sequence[Mapping[str, Any]] = report["dependencies"]
    found = [
        f"{package['name']} {package['version']}: {vulnerability['id']}, "
        f"fixed in {', '.join(vulnerability['fix_versions']) or 'no version yet'}"
        for package in packages
        for vulnerability in package.get("vulns", [])
    ]
    if found:
        return 1, sorted(set(found))
    skipped = sorted({package["name"] for package in packages if "skip_reason" in package})
    looked_up = len({package["name"] for package in packages}) - len(skipped)
    if looked_up == 0:
        return 0, [NOT_LOOKED_UP]
    lines = [f"{looked_up} packages looked up, no known vulnerabilities."]
    return 0, lines + ([f"Not in the list: {', '.join(skipped)}."] if skipped else [])


def main(arguments: Sequence[str]) -> int:
    """Run pip-audit on the locks of what is deployed; `arguments` are passed on to it."""
    locks = [option for name in DEPLOYED for option in ("-r", f"requirements/{name}.txt")]
    command = [
        *(str(TOOL), "--disable-pip", "--require-hashes", *locks),
        *("--format", "json", "--progress-spinner", "off", "--timeout", "15", *arguments),
    ]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - fixed
    try:
        status, lines = verdict(json.loads(ran.stdout))
    except ValueError:
        if not UNREACHABLE.search(ran.stderr):
            sys.stderr.write(ran.stderr)
            return ran.returncode or 1
        status, lines = 0, [NOT_LOOKED_UP]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return status


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
