"""
Draw the diagrams of the pages as SVGs: `make diagrams`.

Mermaid measures text with a browser, so Chromium draws them all on one page that loads nothing but
Mermaid's own bundle, and prints what it has drawn.
"""

import html
import json
import subprocess
import tempfile
from pathlib import Path

from mkdocs_hooks import DIAGRAM, DIAGRAMS, PAGES, ROOT, drawing_of

BUNDLE = Path(__file__).parent / "node_modules/mermaid/dist/mermaid.min.js"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"
SETTINGS = {
    "startOnLoad": False,
    "theme": "base",
    "fontFamily": FONT,
    "htmlLabels": False,
    "deterministicIds": True,
    "themeVariables": {"fontSize": "14px"},
    "flowchart": {"htmlLabels": False, "padding": 10, "nodeSpacing": 30, "rankSpacing": 40},
    "sequence": {
        "mirrorActors": False,
        "diagramMarginX": 4,
        "actorMargin": 20,
        "width": 100,
        "height": 48,
        "messageMargin": 28,
        "boxMargin": 8,
        "wrapPadding": 6,
        **dict.fromkeys(("messageFontSize", "actorFontSize", "noteFontSize"), 14),
    },
}
DRAW = """
const settings = SETTINGS, sources = SOURCES;

// Colours come from the site's style, which knows light and dark.
function small(svg) {
  const drawing = new DOMParser().parseFromString(svg, "image/svg+xml").documentElement;
  for (const style of drawing.querySelectorAll("style")) style.remove();
  const text = new XMLSerializer().serializeToString(drawing);
  for (const part of drawing.querySelectorAll("marker, symbol, filter, linearGradient")) {
    if (!text.includes(`#${part.id})`) && !text.includes(`"#${part.id}"`)) part.remove();
  }
  for (const part of [...drawing.querySelectorAll("*")].reverse()) {
    const isNamed = ["marker", "title", "desc"].includes(part.localName);
    for (const { name, value } of [...part.attributes]) {
      const isUnused = name.startsWith("data-") || name === "name" || (name === "id" && !isNamed);
      const isStyle = name === "style" && part.localName !== "svg";
      if (isUnused || isStyle || value === "") part.removeAttribute(name);
      else part.setAttribute(name, value.replace(/(\\d+\\.\\d)\\d+/g, "$1"));
    }
    if (part.getAttribute("class")) part.setAttribute("class", [...part.classList].join(" "));
    if (["g", "defs"].includes(part.localName) && !part.childNodes.length) part.remove();
  }
  // Where a phone is narrower, text shrinks by a quarter, and the rest is scrolled to.
  const width = Math.ceil(drawing.viewBox.baseVal.width);
  drawing.setAttribute("style", `max-width: ${width}px; min-width: ${Math.ceil(0.75 * width)}px`);
  return new XMLSerializer().serializeToString(drawing);
}

mermaid.initialize(settings);
(async () => {
  const drawn = {};
  for (const [name, source] of Object.entries(sources)) {
    drawn[name] = small((await mermaid.render(`d${name}`, source)).svg);
  }
  document.body.textContent = JSON.stringify(drawn);
})().catch((error) => { document.body.textContent = JSON.stringify({error: String(error)}); });
"""


def main() -> None:
    """Draw every diagram that has no drawing, and remove drawings that belong to none."""
    sources = {
        drawing_of(found["source"]).stem: found["source"]
        for pattern in PAGES
        for page in ROOT.glob(pattern)
        for found in DIAGRAM.finditer(page.read_text(encoding="utf-8"))
    }
    folder = ROOT / DIAGRAMS
    folder.mkdir(exist_ok=True)
    for drawing in folder.iterdir():
        drawing.unlink()
    for name, svg in drawn(sources).items():
        (folder / f"{name}.svg").write_text(svg + "\n", encoding="utf-8")


def drawn(sources: dict[str, str]) -> dict[str, str]:
    """Have Chromium draw diagrams; return the SVG of each by its name."""
    script = DRAW.replace("SETTINGS", json.dumps(SETTINGS)).replace("SOURCES", json.dumps(sources))
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(
            f'<meta charset="utf-8"><body><script src="{BUNDLE.as_uri()}"></script>'
            f"<script>{script}</script></body>",
            encoding="utf-8",
        )
        command = [
            "chromium",
            "--headless=new",
            # Chromium's sandbox cannot be had as root, as containers run it.
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={folder}/profile",
            "--virtual-time-budget=60000",
            "--dump-dom",
            page.as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    body = done.stdout.partition("<body>")[2].partition("</body>")[0]
    answer: dict[str, str] = json.loads(html.unescape(body))
    if set(answer) != set(sources):
        raise SystemExit(f"The diagrams cannot be drawn: {answer.get('error')}")
    return answer


if __name__ == "__main__":
    main()
