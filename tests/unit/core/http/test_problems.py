"""The table from error to status."""

import inspect
import json

import pytest
from starlette.requests import Request

from agentrun.domain import errors
from agentrun.http.problems import (
    PROBLEMS,
    TITLES,
    invalid_request,
    of_agentrun_error,
    status_and_type,
)

TREE = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.AgentrunError) and kind is not errors.AgentrunError
]


@pytest.mark.parametrize("kind", TREE)
def test_every_error_of_the_tree_has_a_status(kind: type[errors.AgentrunError]) -> None:
    status, problem_type = status_and_type(kind.__new__(kind))
    assert 400 <= status <= 599
    assert problem_type in TITLES


def test_the_tree_drawn_in_the_docstring_is_complete() -> None:
    drawn = errors.__doc__ or ""
    assert [kind.__name__ for kind in TREE if kind.__name__ not in drawn] == []


def test_the_table_names_only_the_trees_own() -> None:
    assert set(PROBLEMS) <= set(TREE)


def test_each_field_at_fault_is_named_without_its_value() -> None:
    error = invalid_request(
        [
            {"loc": ("options", "temperature"), "msg": "Input should be less than 2"},
            {"loc": ("message",), "msg": "Value error, must not be only white space"},
            {"loc": (), "msg": "Invalid JSON: expected value at line 1 column 1"},
        ]
    )
    assert error.params == (
        ("options.temperature", "must be less than 2"),
        ("message", "must not be only white space"),
        ("body", "is not valid: Invalid JSON: expected value at line 1 column 1"),
    )
    assert str(error) == (
        "options.temperature must be less than 2. message must not be only white space."
        " The body is not valid: Invalid JSON: expected value at line 1 column 1."
    )


def test_a_refusal_repeats_little_of_what_was_sent() -> None:
    request = Request({"type": "http", "method": "POST", "path": "/x" * 10_000, "headers": []})
    long = "x" * 100_000
    error = errors.InvalidRequestError(long, params=[(long, long)] * 1_000)
    answer = json.loads(bytes(of_agentrun_error(request, error).body))
    assert len(answer["detail"]) <= 501
    assert len(answer["instance"]) <= 256
    assert len(answer["invalidParams"]) == 20
    assert {len(text) for param in answer["invalidParams"] for text in param.values()} == {501}


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (errors.BrokenAgentError("a", "a.yaml:3: colour: there"), "a.yaml:3: colour: there"),
        (errors.StoreUnavailableError("The store is busy."), "The store is busy."),
        (errors.EngineError("The tool 'x' cannot be loaded."), "The tool 'x' cannot be loaded."),
    ],
)
def test_what_is_our_fault_is_logged_once_with_its_cause(
    error: errors.AgentrunError, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    request = Request({"type": "http", "method": "POST", "path": "/x", "headers": []})
    caplog.set_level("INFO", "agentrun")
    answer = json.loads(bytes(of_agentrun_error(request, error).body))
    assert answer["detail"] == str(error)
    (record,) = caplog.records
    assert record.getMessage() == f"request failed: {line}"
