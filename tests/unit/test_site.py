"""Links of the pages, as the site has them: what is no page of it is led to the repository."""

import pytest

from mkdocs_hooks import on_page_content, with_tabs, without_links_to_code

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
