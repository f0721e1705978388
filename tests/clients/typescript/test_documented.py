"""The documented TypeScript compiles against the package as it is installed, and runs."""

import subprocess
from pathlib import Path

import pytest

from tests.clients.typescript.conftest import PACKAGE, Driver, output_of
from tests.documented import ROOT, blocks_of

REST_API = "http://127.0.0.1:8000"
STRICT = ("--strict", "--noEmit", "--module", "nodenext", "--target", "es2022", "--skipLibCheck")
WEB_PAGE = ROOT / "docs/how-to/stream-into-a-web-page.md"
FOLLOW = """
const { AGENTRUN_URL, AGENTRUN_TOKEN, EVENT_SOURCE } = process.env;
// A browser has it; Node.js 20 does not.
globalThis.EventSource = (await import(EVENT_SOURCE)).EventSource;
let shown = "";
const show = (text) => { shown = text; };
await follow(AGENTRUN_URL, AGENTRUN_TOKEN, "analyst", "What is 17 * 23?", show);
console.log(shown);
"""
TOOLS = PACKAGE / "node_modules"


def test_the_examples_compile_and_run_in_their_order(driver: Driver) -> None:
    blocks = blocks_of(ROOT / "docs/clients.md", "typescript")
    text = "\n".join(block.text for block in blocks)
    written = driver.folder / "examples.mts"
    written.write_text(text.replace(REST_API, driver.stack.local.rest_api), encoding="utf-8")
    compile_strictly(written, within=driver.folder)
    printed = output_of(driver.start(built(written, within=driver.folder)))
    for told in ("17 * 23 = 391", "18 * 23 = 414", "COMPLETED 19 * 23 = 437", "Bought 1 AMZN"):
        assert told in printed
    assert "404 There is no agent 'nobody'." in printed
    assert printed.count(" COMPLETED") >= 2


@pytest.mark.parametrize("language", ["tsx", "typescript"])
def test_the_streams_of_a_web_page_compile(language: str, driver: Driver) -> None:
    (block,) = blocks_of(WEB_PAGE, language)
    # In a folder of its own, so that React's types are not beside the package for other tests.
    page = driver.folder / "page"
    written = page / f"page-{language}.{'tsx' if language == 'tsx' else 'mts'}"
    types = page / "node_modules/@types"
    if not types.exists():
        types.parent.mkdir(parents=True)
        types.symlink_to(TOOLS / "@types")
    written.write_text(block.text.replace(REST_API, driver.stack.local.rest_api), encoding="utf-8")
    compile_strictly(written, "--jsx", "react-jsx", within=page)
    if language == "typescript":
        printed = output_of(driver.start(f"page/{built(written, within=page)}"))
        assert printed.splitlines()[-1] == "17 * 23 = 391"


def test_a_web_page_follows_a_run_without_a_package(driver: Driver) -> None:
    (block,) = blocks_of(WEB_PAGE, "javascript")
    (driver.folder / "follow.mjs").write_text(block.text + FOLLOW, encoding="utf-8")
    assert output_of(driver.start("follow.mjs")) == "17 * 23 = 391\n"


def compile_strictly(written: Path, *options: str, within: Path) -> None:
    """Look for errors of types in a file."""
    types = ("--typeRoots", str(TOOLS / "@types"), "--types", "node")
    run(TOOLS / ".bin/tsc", *STRICT, *types, *options, written.name, within=within)


def built(written: Path, *, within: Path) -> str:
    """Make JavaScript of a file; return its name."""
    name = written.with_suffix(".mjs").name
    options = ("--format=esm", "--target=es2022", f"--outfile={name}", "--log-level=error")
    run(TOOLS / ".bin/esbuild", written.name, *options, within=within)
    return name


def run(program: Path, *arguments: str, within: Path) -> None:
    done = subprocess.run(
        [program, *arguments], cwd=within, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
