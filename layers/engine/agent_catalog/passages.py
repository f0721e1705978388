"""Passages of Markdown files, ranked by Okapi BM25."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

# The usual parameters (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009).
# Libraries that rank by BM25 need numpy, which is larger than everything else in the layer.
_K1 = 1.2
_B = 0.75
# A passage must match this part of the query's weight; otherwise it only shares a common word.
_MIN_COVERAGE = 0.35
_HEADING_WEIGHT = 3

_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*\s*")
_WORD = re.compile(r"\w+")
_SUFFIX = re.compile(r"(?<=\w{3})(?:ing|ed|es|e|s)$")
_DOUBLED = re.compile(r"([^\W\d])\1$")
_STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a about an and are as at be by can do does for from has have how i if in is it its me my "
        "not of on or please so tell that the there this to was we what when where which who why "
        "will with you your",
    )
)


@dataclass(frozen=True)
class Passage:
    """A part of a file under one heading; `source` is the file's name."""

    source: str
    heading: str
    text: str


def split_passages(source: str, markdown: str) -> Iterator[Passage]:
    """Split a file at its headings, ignoring code blocks."""
    heading, lines, fenced = source, list[str](), False
    for line in markdown.splitlines():
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        match = None if fenced else _HEADING.fullmatch(line)
        if match is None:
            lines.append(line)
            continue
        yield from _passage(source, heading, lines)
        heading, lines = match[2], []
    yield from _passage(source, heading, lines)


def _passage(source: str, heading: str, lines: list[str]) -> Iterator[Passage]:
    text = "\n".join(lines).strip()
    if text:
        yield Passage(source, heading, text)


class PassageIndex:
    """A searchable index of passages; immutable, so threads may share it."""

    def __init__(self, passages: Iterable[Passage]) -> None:
        self._passages = tuple(passages)
        self._terms = [
            Counter(_words(passage.text))
            + Counter(dict.fromkeys(_words(f"{passage.heading} {passage.source}"), _HEADING_WEIGHT))
            for passage in self._passages
        ]
        self._lengths = [terms.total() for terms in self._terms]
        self._mean_length = sum(self._lengths) / max(1, len(self._lengths))
        self._document_frequency = Counter(word for terms in self._terms for word in terms)

    def search(self, query: str, limit: int) -> Sequence[Passage]:
        """Return at most `limit` passages that answer the query, best first."""
        weights = {word: self._rarity(word) for word in _words(query)}
        floor = _MIN_COVERAGE * sum(weights.values())
        found = [
            (self._score(weights, position), -position)
            for position, terms in enumerate(self._terms)
            if weights and sum(weights[word] for word in weights if word in terms) >= floor
        ]
        return [self._passages[-position] for _, position in sorted(found, reverse=True)[:limit]]

    def _rarity(self, word: str) -> float:
        count = self._document_frequency[word]
        return math.log(1 + (len(self._terms) - count + 0.5) / (count + 0.5))

    def _score(self, weights: dict[str, float], position: int) -> float:
        terms = self._terms[position]
        norm = _K1 * (1 - _B + _B * self._lengths[position] / self._mean_length)
        return sum(
            weight * terms[word] * (_K1 + 1) / (terms[word] + norm)
            for word, weight in weights.items()
        )


def _words(text: str) -> list[str]:
    return [_stem(word) for word in _WORD.findall(text.lower()) if word not in _STOP_WORDS]


def _stem(word: str) -> str:
    # So that "cancel" finds "cancelled"; a real stemmer gains little on a few short documents.
    return _DOUBLED.sub(r"\1", _SUFFIX.sub("", word))
