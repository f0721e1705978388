"""The TypeScript of docs/clients.md compiles against the package as it is installed, and runs."""

import subprocess
from pathlib import Path

from tests.clients.typescript.conftest import PACKAGE, Driver, output_of
from tests.documented import ROOT, blocks_of

REST_API = "http://127.0.0.1:8000"
STRICT = ("--strict", "--noEmit", "--module", "nodenext", "--target", "es2022", "--skipLibCheck")
TOOLS = PACKAGE / "node_modules"


def test_the_examples_compile_and_run_in_their_order(driver: Driver) -> None:
    blocks = blocks_of(ROOT / "docs/clients.md", "typescript")
    text = "\n".join(block.text for block in blocks)
    written = driver.folder / "examples.mts"
    written.write_text(text.replace(REST_API, driver.stack.local.rest_api), encoding="utf-8")
    types = ("--typeRoots", str(TOOLS / "@types"), "--types", "node")
    run(TOOLS / ".bin/tsc", *STRICT, *types, written.name, within=driver.folder)
    built = ("--format=esm", "--target=es2022", f"--outfile={written.with_suffix('.mjs').name}")
    run(TOOLS / ".bin/esbuild", written.name, *built, "--log-level=error", within=driver.folder)
    printed = output_of(driver.start("examples.mjs"))
    for told in ("17 * 23 = 391", "18 * 23 = 414", "COMPLETED 19 * 23 = 437", "Bought 1 AMZN"):
        assert told in printed
    assert "404 There is no agent 'nobody'." in printed
    assert printed.count(" COMPLETED") >= 2


def run(program: Path, *arguments: str, within: Path) -> None:
    done = subprocess.run(
        [program, *arguments], cwd=within, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
