"""
The packages that a project's tools import, pinned beside those of the framework's layers.

Run as a program, it prints what those layers pin, for the laptop's environment to have the same.
"""

import hashlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement

from agentrun_project.build import BESIDE, LOCKS, RUNTIME, blocks_of, name_of, pin_of
from agentrun_project.errors import ProjectError

REQUIREMENTS = "requirements.txt"
LOCK = "requirements.lock"
_HEAD = "# What is deployed of requirements.txt, pinned by the build; do not edit. "
_FRAMEWORK = "framework.txt"
_NOTHING = re.compile(r"\s*(#.*)?")
_ON_LAMBDA = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "aarch64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "{}.{}.0".format(*RUNTIME),
    "python_version": "{}.{}".format(*RUNTIME),
    "sys_platform": "linux",
}


def framework_pins() -> str:
    """Return what all of the framework's layers pin, as a file of constraints."""
    return _constraints(("core", "engine", "streaming", "providers"))


def locked(project: Path) -> str:
    """
    Return the hashed requirements of a project's tools, without what other layers bring.

    They are read from the project's lock, which is first resolved anew if `requirements.txt` or the
    framework has changed; pins that still fit are kept.

    Raises:
        ProjectError: No versions fit together, or the registry cannot be reached.
    """
    asked, lock = project / REQUIREMENTS, project / LOCK
    text = asked.read_text(encoding="utf-8") if asked.is_file() else ""
    pins = framework_pins()
    head = _HEAD + hashlib.sha256(f"{text}\0{pins}".encode()).hexdigest()
    found = lock.read_text(encoding="utf-8") if lock.is_file() else ""
    if not found.startswith(head):
        found = f"{head}\n{_resolved(text, pins, found)}"
        lock.write_text(found, encoding="utf-8")
    # The other layers are not always attached, so what they have as well is of the same version.
    beside = _constraints(BESIDE["agents"])
    brought = {name_of(pin) for pin in beside.splitlines() if _is_installed(pin)}
    return "".join(block for block in blocks_of(found) if name_of(block) not in brought)


def _constraints(layers: Iterable[str]) -> str:
    locks = (LOCKS / f"{layer}.txt" for layer in layers)
    pins = {pin_of(block) for lock in locks for block in blocks_of(lock.read_text("utf-8"))}
    # A constraint cannot have extras.
    return "".join(sorted(re.sub(r"\[.*?\]", "", pin) + "\n" for pin in pins))


def _is_installed(pin: str) -> bool:
    """Tell whether a pin is one for Lambda."""
    marker = Requirement(pin).marker
    return marker is None or marker.evaluate(_ON_LAMBDA)


def _resolved(requirements: str, constraints: str, before: str) -> str:
    """Pin requirements for the runtime, with the hashes of their files, by uv."""
    if all(_NOTHING.fullmatch(line) for line in requirements.splitlines()):
        return ""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        texts = {REQUIREMENTS: requirements, _FRAMEWORK: constraints, LOCK: before}
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
        command = [
            *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal"),
            *("--python-version", _ON_LAMBDA["python_version"], "--generate-hashes"),
            *("--no-strip-extras", "--no-emit-index-url", "--no-header", "--no-annotate"),
            *("--constraint", _FRAMEWORK, "--output-file", LOCK, REQUIREMENTS),
        ]
        done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
        if done.returncode:
            raise ProjectError(_explained(done.stderr))
        return (folder / LOCK).read_text(encoding="utf-8")


def _explained(said: str) -> str:
    told = "\n".join(f"  {line.strip()}" for line in said.splitlines() if line.strip())
    return (
        f"The packages of {REQUIREMENTS} cannot be deployed beside those of agentrun-serverless"
        f" {version('agentrun-serverless')} ({_FRAMEWORK}):\n{told}\n"
        f"Ask for other versions in {REQUIREMENTS}, then build again."
    )


if __name__ == "__main__":
    sys.stdout.write(framework_pins())
