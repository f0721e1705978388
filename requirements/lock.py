"""Compile the hashed requirement files; `--check` fails when one is stale."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# What the agents' tools import.
TOOLS = "layers/agents/requirements.txt"
# `dev` is compiled first and constrains the others, so that what is tested is what is shipped.
SOURCES: dict[str, tuple[str, ...]] = {
    "dev": ("--extra", "dev", "pyproject.toml", TOOLS),
    "core": ("pyproject.toml",),
    "engine": ("--extra", "engine", "pyproject.toml"),
    "agents": (TOOLS,),
    "streaming": ("--extra", "streaming", "pyproject.toml"),
    "providers": ("--extra", "providers", "pyproject.toml"),
    # All that a function imports, and no other layer's or developer's package.
    "bench": (
        *("--group", "bench", "--extra", "engine", "--extra", "streaming"),
        *("pyproject.toml", TOOLS),
    ),
}
# Tools that run in environments of their own, with no part of the project in them.
GROUPS = ("awscli", "browser", "checkov", "docs", "ministack", "pip-audit", "readers", "strands")
# The servers that docs/why.md compares, one environment each.
PEERS = ("agentcore", "agno", "dbos", "fastapi", "langgraph")


def compile_lock(name: str, output: Path, constraints: Path | None) -> None:
    """Resolve a group or its sources into `output`, keeping the pins that it already holds."""
    sources = SOURCES.get(name, ("--group", name.replace("peers/", "peer-")))
    command = [
        *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal"),
        *("--python-version", "3.11", "--generate-hashes", "--no-strip-extras"),
        *("--no-emit-index-url", "--no-header", "--no-annotate"),
        # A part of this repository: `make setup` installs it from its folder.
        *("--no-emit-package", "agentrun-client"),
        *(("--constraint", str(constraints)) if constraints else ()),
        *("--output-file", str(output), *sources),
    ]
    subprocess.run(command, cwd=ROOT, check=True)  # noqa: S603 - fixed arguments


def main() -> int:
    """Write the requirement files, or compare them with a fresh resolution."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    folder = ROOT / "requirements"
    stale = []
    for name in (*SOURCES, *GROUPS, *(f"peers/{peer}" for peer in PEERS)):
        committed = folder / f"{name}.txt"
        constraints = folder / "dev.txt" if name in SOURCES and name != "dev" else None
        if not check:
            compile_lock(name, committed, constraints)
            continue
        with tempfile.TemporaryDirectory() as scratch:
            fresh = Path(scratch) / committed.name
            fresh.write_bytes(committed.read_bytes())
            compile_lock(name, fresh, constraints)
            if fresh.read_bytes() != committed.read_bytes():
                stale.append(committed.name)
    if stale:
        sys.stderr.write(
            f"out of step with what is asked for, run `make lock`: {', '.join(stale)}\n"
        )
    return bool(stale)


if __name__ == "__main__":
    raise SystemExit(main())
