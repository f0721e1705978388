"""Interpreters with the packages that the layers hold, and no others of the developer's."""

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path, PurePath

from bench.processes import ROOT

_VENVS = ROOT / ".venv"
_LOCKED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[.*\])?==", re.MULTILINE)
_LAYERS = ("core", "engine", "agents", "streaming")


@dataclass(frozen=True)
class Interpreter:
    """
    A Python without a site-packages folder of its own.

    Attributes:
        command: What starts it.
        version: As `platform.python_version` gives it.
        packages: The folder that stands in for site-packages, to be put on PYTHONPATH.
    """

    command: Path
    version: str
    packages: Path


@dataclass(frozen=True)
class Build:
    """
    A checkout whose functions are measured.

    Attributes:
        name: `ours`, or `before` for the one to compare with.
        root: The checkout.
        task_root: A folder that holds its `functions`, and this checkout's `bench`.
    """

    name: str
    root: Path
    task_root: Path

    @property
    def layers(self) -> list[str]:
        """The folders of its layers, as they are unpacked into /opt."""
        return [str(path) for name in _LAYERS if (path := self.root / "layers" / name).is_dir()]


def make_interpreter(folder: Path) -> Interpreter:
    """
    Make the interpreter of everything that is measured.

    It is the Lambda runtime's Python if `make` has found one, with the packages of
    `.venv/bench`; else this one, with links to those packages of its own that the layers hold.
    What else is installed here would be imported too: botocore takes awscrt and pyOpenSSL where it
    finds them, which a deployed function does not have, and pays 0.1 s for them.
    """
    packages = next((_VENVS / "bench").glob("lib/python*/site-packages"), None)
    if packages is None:
        packages, python = _link_packages(folder / "packages"), sys.executable
    else:
        python = str(_VENVS / "bench" / "bin" / "python")
    command = folder / "python"
    command.write_text(f'#!/bin/sh\nexec "{Path(python).resolve()}" -S "$@"\n')
    command.chmod(0o755)
    ask: list[str | Path] = [command, "-c", "import platform; print(platform.python_version())"]
    return Interpreter(command, subprocess.check_output(ask, text=True).strip(), packages)


def make_build(name: str, root: Path, folder: Path) -> Build:
    """Make a task root in a new folder: the handlers of `bench` on another checkout's functions."""
    root = root.resolve(strict=True)
    folder.mkdir()
    (folder / "bench").symlink_to(ROOT / "bench")
    (folder / "functions").symlink_to(root / "functions")
    return Build(name, root, folder)


def _link_packages(folder: Path) -> Path:
    folder.mkdir()
    for name in _LOCKED.findall((ROOT / "requirements" / "bench.txt").read_text()):
        for path in _top_level(name):
            link = folder / path.name
            if not link.exists():
                link.symlink_to(path)
    return folder


def _top_level(name: str) -> Iterator[Path]:
    """Yield what a distribution has in site-packages: its packages, modules and metadata."""
    try:
        installed = distribution(name)
    except PackageNotFoundError:
        # The lock also names what only other systems need.
        return
    site = Path(str(installed.locate_file("")))
    yield from (site / first for first in _first_parts(installed.files or ()))


def _first_parts(files: Iterable[PurePath]) -> set[str]:
    return {file.parts[0] for file in files} - {"..", "__pycache__", "bin"}
