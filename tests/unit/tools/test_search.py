"""Search in the documentation."""

from pathlib import Path

import pytest

from agent_catalog.passages import PassageIndex, split_passages
from tools import search
from tools.search import document_files, search_docs

RUNS = """# Runs
Intro to runs.

## Cancelling a run
Send DELETE; the model call is closed within three seconds.

```sh
# this is a comment, not a heading
curl -X DELETE
```
## Empty
### Attaching
Reconnect with Last-Event-ID and miss nothing.
"""
AGENTS = "An agent is a YAML file.\n\n# Tools\nA tool is a function.\n"


@pytest.fixture
def index() -> PassageIndex:
    return PassageIndex(
        [*split_passages("docs/runs.md", RUNS), *split_passages("docs/agents.md", AGENTS)]
    )


def test_a_file_is_cut_at_its_headings_and_not_inside_code() -> None:
    passages = list(split_passages("docs/runs.md", RUNS))
    assert [passage.heading for passage in passages] == ["Runs", "Cancelling a run", "Attaching"]
    assert "not a heading" in passages[1].text


def test_text_before_the_first_heading_is_found_under_the_files_name() -> None:
    assert next(iter(split_passages("a.md", AGENTS))).heading == "a.md"


@pytest.mark.parametrize(
    ("query", "heading"),
    [
        ("How do I cancel runs?", "Cancelling a run"),
        ("What does Last-Event-ID do?", "Attaching"),
        ("YAML files of the agents", "docs/agents.md"),
        ("tools", "Tools"),
    ],
)
def test_the_best_passage_comes_first(index: PassageIndex, query: str, heading: str) -> None:
    assert index.search(query, 3)[0].heading == heading


@pytest.mark.parametrize(
    "query", ["", "?!", "what is the", "Who won the football game yesterday with a function?"]
)
def test_nothing_is_found_where_nothing_fits(index: PassageIndex, query: str) -> None:
    assert index.search(query, 3) == []


def test_no_more_is_found_than_asked_for(index: PassageIndex) -> None:
    assert len(index.search("run tool agent", 1)) <= 1
    assert PassageIndex([]).search("run", 3) == []


def test_a_checkout_searches_its_own_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docs" / "adr").mkdir(parents=True)
    (tmp_path / "README.md").write_text("# Top\nThe zebra is here.\n", encoding="utf-8")
    (tmp_path / "docs" / "adr" / "1.md").write_text(
        "# Why\n" + "The quagga is gone.\n" * 200, encoding="utf-8"
    )
    monkeypatch.setattr(search, "_SHIPPED", tmp_path / "absent")
    monkeypatch.setattr(search, "_CHECKOUT", tmp_path)
    search._index.cache_clear()
    monkeypatch.setattr(search, "_index", search._index.__wrapped__)
    assert search_docs("zebra") == [
        {"source": "README.md", "heading": "Top", "text": "The zebra is here."}
    ]
    (found,) = search_docs("quagga")
    assert found["source"] == "docs/adr/1.md"
    assert len(found["text"]) <= 1_202
    assert found["text"].endswith("gone.\n…")


def test_a_layer_searches_the_documents_that_it_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "README.md").write_text("# Top\nThe okapi is here.\n", encoding="utf-8")
    monkeypatch.setattr(search, "_SHIPPED", tmp_path)
    monkeypatch.setattr(search, "_index", search._index.__wrapped__)
    assert [found["heading"] for found in search_docs("okapi")] == ["Top"]


def test_this_projects_documents_are_found_from_the_checkout() -> None:
    root = Path(__file__).parents[3]
    assert root == search._CHECKOUT
    assert root / "README.md" in document_files(root)
