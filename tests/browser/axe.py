"""axe-core, as the playground's developers have it."""

from functools import cache

from tests.browser.page import Page
from tests.browser.stack import ROOT

_AXE = ROOT / "playground/node_modules/axe-core/axe.min.js"
_LOOK = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ["violations"]}).then(({violations}) => done(
  violations
    .filter(({impact}) => impact === "serious" || impact === "critical")
    .flatMap(({id, nodes}) => nodes.map((node) => `${id}: ${node.html} ${node.failureSummary}`))
), (error) => done([String(error)]));
"""


@cache
def _source() -> str:
    return _AXE.read_text()


def serious_violations(page: Page) -> list[str]:
    """Return what axe finds on the page as it is now, if it is serious or critical."""
    # A driver's script is no inline script of the page: its policy lets it pass.
    page.script(_source())
    found: list[str] = page.driver.execute_async_script(_LOOK)
    return found
