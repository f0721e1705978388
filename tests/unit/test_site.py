"""Pages as the site has them: links to code lead to the repository, and diagrams are drawn."""

import re
from html import escape

import pytest

from mkdocs_hooks import (
    DIAGRAM,
    DIAGRAMS,
    PAGES,
    ROOT,
    drawing_of,
    on_page_content,
    with_diagrams,
    with_tabs,
    without_links_to_code,
)

SITE = {"README.md", "docs/api.md", "docs/openapi.json"}
FORGE = "https://forge.example/agentrun/"


@pytest.mark.parametrize(
    "link",
    ["[API](api.md)", "[API](api.md#errors)", "[copy](openapi.json)", "[start](../README.md)"],
)
def test_links_to_what_is_in_the_site_stay(link: str) -> None:
    assert without_links_to_code(link, "docs/costs.md", SITE, FORGE) == link


def test_links_to_code_lead_to_the_repository_where_it_has_an_address() -> None:
    link = "[the build](../local/agentrun_project/build.py)"
    led = without_links_to_code(link, "docs/costs.md", SITE, FORGE)
    page = "https://forge.example/agentrun/blob/HEAD/local/agentrun_project/build.py"
    assert led == f"[the build]({page})"
    assert without_links_to_code(link, "docs/costs.md", SITE, None) == "the build"


@pytest.mark.parametrize("link", ["[gone](../layers/gone.py)", "[far](https://forge.example/x.py)"])
def test_links_to_what_is_not_in_the_repository_are_left_to_the_strict_build(link: str) -> None:
    assert without_links_to_code(link, "docs/costs.md", SITE, None) == link


@pytest.mark.parametrize("code", ["`[a](Makefile)`", "```text\n[a](Makefile)\n```"])
def test_code_that_looks_like_a_link_is_left_alone(code: str) -> None:
    assert without_links_to_code(code, "README.md", SITE, None) == code


def test_code_in_the_description_of_a_parameter_is_code() -> None:
    begin, end = '<div class="api-parameter__description">', "</div>"
    html = on_page_content(f"<p>`a`</p>{begin}One of `a`, `b`.{end}")
    assert html == f"<p>`a`</p>{begin}One of <code>a</code>, <code>b</code>.{end}"


def test_the_ways_of_a_task_become_tabs_and_code_keeps_its_comments() -> None:
    page = """# Title

Text.

**curl**

```bash
# A comment is no heading.
curl
```

More of it.

**Python**

```python
print()
```

## Next

**Bold** text."""
    assert (
        with_tabs(page)
        == """# Title

Text.

=== "curl"

    ```bash
    # A comment is no heading.
    curl
    ```

    More of it.

=== "Python"

    ```python
    print()
    ```

## Next

**Bold** text.
"""
    )


@pytest.fixture(scope="module")
def diagrams() -> list[str]:
    """Return the sources of all diagrams of the site's pages."""
    pages = {page for pattern in PAGES for page in ROOT.glob(pattern)}
    return [
        found["source"]
        for page in sorted(pages)
        for found in DIAGRAM.finditer(page.read_text(encoding="utf-8"))
    ]


def test_every_diagram_is_drawn_and_every_drawing_is_of_a_diagram(diagrams: list[str]) -> None:
    """If this fails, run `make diagrams`."""
    drawings = set((ROOT / DIAGRAMS).iterdir())
    assert drawings == {drawing_of(source) for source in diagrams}
    assert len(diagrams) >= 8


def test_every_diagram_can_be_read_aloud(diagrams: list[str]) -> None:
    for source in diagrams:
        assert re.search(r"^  accTitle: \S", source, re.MULTILINE)
        described = re.search(r"^  accDescr: (.+)$", source, re.MULTILINE)
        assert described
        assert escape(described[1], quote=False) in drawing_of(source).read_text(encoding="utf-8")


def test_drawings_have_no_colours_and_load_nothing(diagrams: list[str]) -> None:
    for source in diagrams:
        svg = drawing_of(source).read_text(encoding="utf-8").replace('xmlns="http://www.w3.org', "")
        assert not re.search(r"https?:|<script|<style|<image|foreignObject", svg)


def test_a_diagram_that_was_changed_and_not_drawn_fails_the_build(diagrams: list[str]) -> None:
    page = f"Before.\n\n```mermaid\n{diagrams[0]}```\n\nAfter."
    shown = with_diagrams(page)
    assert shown.startswith('Before.\n\n<div class="diagram" role="group" tabindex="0"><svg ')
    assert shown.endswith("</svg></div>\n\nAfter.")
    with pytest.raises(FileNotFoundError):
        with_diagrams(page.replace("accTitle: ", "accTitle: Another "))
