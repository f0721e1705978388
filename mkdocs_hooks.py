"""Collect the site's pages from the whole repository, and resolve their links to code."""

from __future__ import annotations

import hashlib
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent
PAGES = ("*.md", "clients/*/README.md", "docs/**/*.md", "events/README.md", "findings/README.md")
IMAGES = "docs/images/*.*"
DIAGRAMS = "docs/images/diagrams"
DECISIONS = "docs/adr/[0-9]*.md"
SPECIFICATION = "docs/openapi.json"
REFERENCE = "reference.json"
"""The entry of `nav` that mkdocs-openapi replaces by its own pages."""
HISTORY = ("CHANGELOG.md", "docs/adr/")
"""Pages about the past, which the search shows after the others."""
STYLE = "assets/site.css"
RULES = "docs/site.css"
WAYS = r"curl|Python|TypeScript|Node\.js|Command line"
"""Labels of the parts of a section that show the same task; on the site each is a tab."""

_PARAMETER = re.compile(r'(?<=<div class="api-parameter__description">).*?(?=</div>)', re.DOTALL)
# Code is taken whole: in it, a line may begin with `#`.
_PART = re.compile(
    rf"^\*\*(?P<way>{WAYS})\*\*\n"
    rf"(?P<rest>(?:^```.*?^```\n|^(?!\*\*(?:{WAYS})\*\*$|\#{{1,6}} )[^\n]*\n)*)",
    re.DOTALL | re.MULTILINE,
)
DIAGRAM = re.compile(r"^```mermaid\n(?P<source>.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK_OR_CODE = re.compile(
    r"^```.*?^```$|`[^`\n]+`|\[(?P<text>[^\]]+)\]\((?P<path>[^)#\s:]+)(?:#[^)\s]*)?\)",
    re.DOTALL | re.MULTILINE,
)


def on_config(config: MkDocsConfig) -> None:
    """Add all decisions to the navigation."""
    decisions = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob(DECISIONS))
    for section in config.nav:
        section.get("Decisions", []).extend(decisions)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Return the pages under their paths in the repository, so that links between them work."""
    from mkdocs.structure.files import File  # noqa: PLC0415 - installed in .venv/docs only

    def file(path: str) -> File:
        return File(path, str(ROOT), config.site_dir, config.use_directory_urls)

    for found in list(files):
        if found.src_dir == config.docs_dir:
            files.remove(found)
    for page in sorted({path for pattern in (*PAGES, IMAGES) for path in ROOT.glob(pattern)}):
        files.append(file(page.relative_to(ROOT).as_posix()))
    files.append(specification := file(SPECIFICATION))
    path = specification.abs_src_path
    files.append(File.generated(config, REFERENCE, abs_src_path=path))
    files.append(File.generated(config, STYLE, abs_src_path=str(ROOT / RULES)))
    return files


# Run before mkdocs-openapi, which looks for its document among the files.
on_files.mkdocs_priority = 100  # type: ignore[attr-defined]  # how MkDocs orders hooks


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return a page's text with links to code that work on the site."""
    if page.file.src_uri.startswith(HISTORY):
        page.meta["search"] = {"boost": 0.3}
    text = without_links_to_code(markdown, page.file.src_uri, files.src_uris, config.repo_url)
    return with_diagrams(with_tabs(text))


def on_page_content(html: str, **_: object) -> str:
    """Return a page with code spans in descriptions of parameters, which are not Markdown."""
    return _PARAMETER.sub(lambda text: re.sub(r"`(.+?)`", r"<code>\1</code>", text[0]), html)


def drawing_of(source: str) -> Path:
    """Return where the drawing of a diagram is: its name is the digest of its source."""
    return ROOT / DIAGRAMS / f"{hashlib.sha256(source.encode()).hexdigest()[:12]}.svg"


def with_diagrams(markdown: str) -> str:
    """
    Put the drawing of each diagram in place of its source, as the forge does.

    Raises:
        FileNotFoundError: A diagram was changed and not drawn; run `make diagrams`.
    """

    def drawn(found: re.Match[str]) -> str:
        svg = drawing_of(found["source"]).read_text(encoding="utf-8").strip()
        return f'<div class="diagram" role="group" tabindex="0">{svg}</div>'

    return DIAGRAM.sub(drawn, markdown)


def with_tabs(markdown: str) -> str:
    """
    Turn parts that begin with the label of a way, such as `**curl**`, into tabs side by side.

    A part ends at the next label or heading. On the forge, the parts stand one below the other.
    """

    def tab(found: re.Match[str]) -> str:
        lines = "\n".join(f"    {line}".rstrip() for line in found["rest"].strip("\n").split("\n"))
        return f'=== "{found["way"]}"\n\n{lines}\n\n'

    return _PART.sub(tab, markdown.rstrip("\n") + "\n")


def without_links_to_code(
    markdown: str, page: str, site: Container[str], repository: str | None
) -> str:
    """
    Point links to files outside the site to the repository, or keep only their text.

    Args:
        markdown: The page's text.
        page: Path of the page in the repository.
        site: Paths of all files of the site.
        repository: Address of the repository on its forge, if there is one.

    Returns:
        The text. Links to missing files stay as they are, so that a strict build fails on them.
    """

    def replaced(found: re.Match[str]) -> str:
        if not found["path"]:
            return found[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(page), found["path"]))
        if target in site or not (ROOT / target).exists():
            return found[0]
        text = found["text"]
        return f"[{text}]({repository.rstrip('/')}/blob/HEAD/{target})" if repository else text

    return _LINK_OR_CODE.sub(replaced, markdown)
