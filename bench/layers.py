"""An interpreter with the layers' packages and none of the developer's."""

import re
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from bench.processes import ROOT

_LOCKED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[.*\])?==", re.MULTILINE)
_LAYERS = ("core", "engine", "agents", "streaming")
_OURS = tuple(str(ROOT / "layers" / layer) for layer in _LAYERS)


def write_interpreter(path: Path) -> Path:
    """Write a command that runs this Python without site-packages; return its path."""
    path.write_text(f'#!/bin/sh\nexec "{Path(sys.executable).resolve()}" -S "$@"\n')
    path.chmod(0o755)
    return path


def link_packages(folder: Path, *others: str) -> list[str]:
    """
    Fill a folder with links to the packages of the layers' requirement files.

    What else is installed here would be imported too: botocore takes awscrt and pyOpenSSL where it
    finds them, which a deployed function does not have, and pays 0.1 s for them.

    Args:
        folder: A folder to make.
        others: Names of further distributions.

    Returns:
        What PYTHONPATH has to hold for them and for the project's own packages.
    """
    folder.mkdir()
    for name in (*_locked_names(), *others):
        for path in _top_level(name):
            link = folder / path.name
            if not link.exists():
                link.symlink_to(path)
    return [*_OURS, str(folder)]


def _locked_names() -> Iterable[str]:
    for layer in _LAYERS:
        yield from _LOCKED.findall((ROOT / "requirements" / f"{layer}.txt").read_text())


def _top_level(name: str) -> Iterator[Path]:
    """Yield what a distribution has in site-packages: its packages, modules and metadata."""
    try:
        installed = distribution(name)
    except PackageNotFoundError:
        # The lock also names what only other systems need.
        return
    site = Path(str(installed.locate_file("")))
    for first in {file.parts[0] for file in installed.files or ()}:
        if first not in {"..", "__pycache__", "bin"}:
            yield site / first
