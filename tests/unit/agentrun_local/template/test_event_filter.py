"""Filters of event source mappings match as Lambda's do."""

import json
from typing import Any

import pytest

from agentrun_local.errors import TemplateError
from agentrun_local.template.event_filter import EventFilter

RECORD = {
    "eventName": "MODIFY",
    "dynamodb": {
        "NewImage": {
            "status": {"S": "COMPLETED"},
            "cost": {"N": "12.5"},
            "webhook": {"M": {"url": {"S": "https://example.com/hook"}}},
            "tags": {"SS": ["a", "b"]},
            "done": {"BOOL": True},
        }
    },
}


def image(**attributes: Any) -> dict[str, Any]:
    return {"dynamodb": {"NewImage": attributes}}


def criteria(*patterns: object) -> dict[str, Any]:
    return {"Filters": [{"Pattern": json.dumps(pattern)} for pattern in patterns]}


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ({"eventName": ["MODIFY", "INSERT"]}, True),
        ({"eventName": ["REMOVE"]}, False),
        (image(status={"S": ["FAILED", "COMPLETED"]}), True),
        (image(status={"S": ["completed"]}), False),
        (image(status={"S": [{"equals-ignore-case": "completed"}]}), True),
        (image(status={"S": [{"prefix": "COMP"}]}), True),
        (image(status={"S": [{"suffix": "COMP"}]}), False),
        (image(status={"S": [{"suffix": "ETED"}]}), True),
        (image(status={"S": [{"anything-but": ["RUNNING", "QUEUED"]}]}), True),
        (image(status={"S": [{"anything-but": "COMPLETED"}]}), False),
        (image(missing={"S": [{"anything-but": ["x"]}]}), False),
        (image(webhook={"M": {"url": {"S": [{"exists": True}]}}}), True),
        (image(webhook={"M": {"secret": {"S": [{"exists": True}]}}}), False),
        (image(missing={"S": [{"exists": False}]}), True),
        (image(status={"S": [{"exists": False}]}), False),
        (image(cost={"N": [{"numeric": [">", 12, "<=", 12.5]}]}), True),
        (image(cost={"N": [{"numeric": ["<", 12]}]}), False),
        (image(status={"S": [{"numeric": ["=", 1]}]}), False),
        (image(tags={"SS": ["b"]}), True),
        (image(tags={"SS": ["c"]}), False),
        (image(done={"BOOL": [True]}), True),
        # A number is no boolean.
        (image(done={"BOOL": [1]}), False),
        (image(status={"S": ["COMPLETED"]}, cost={"N": ["0"]}), False),
        ({"$or": [{"eventName": ["REMOVE"]}, {"eventName": ["MODIFY"]}]}, True),
        ({"$or": [{"eventName": ["REMOVE"]}, {"eventName": ["INSERT"]}]}, False),
    ],
)
def test_a_record_matches_where_all_that_is_said_is_so(pattern: object, matches: bool) -> None:
    assert EventFilter("Mapping", criteria(pattern)).matches(RECORD) is matches


def test_one_pattern_of_several_is_enough_and_none_matches_all() -> None:
    either = criteria({"eventName": ["REMOVE"]}, {"eventName": ["MODIFY"]})
    assert EventFilter("Mapping", either).matches(RECORD)
    assert EventFilter("Mapping", {}).matches(RECORD)


def test_a_message_is_matched_by_the_json_in_it() -> None:
    of_jobs = EventFilter("Mapping", criteria({"body": {"kind": ["job"]}}))
    bodies = {'{"kind": "job"}': True, '{"kind": "other"}': False, "no json": False}
    for body, matches in bodies.items():
        assert of_jobs.matches_body({"body": body}) is matches
    of_texts = EventFilter("Mapping", criteria({"body": ["plain"]}))
    assert of_texts.matches_body({"body": "plain"})
    assert EventFilter("Mapping", {}).matches_body({"body": "no json"})


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is not an object"),
        ('{"body": "job"}', "body needs a list"),
        ('{"body": [{"wildcard": "x*"}]}', "does not know wildcard"),
        ('{"$or": [{"body": [{"cidr": "::/0"}]}]}', "does not know cidr"),
    ],
)
def test_a_pattern_that_cannot_be_understood_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message) as refused:
        EventFilter("JobMapping", {"Filters": [{"Pattern": pattern}]})
    assert str(refused.value).startswith("JobMapping: ")
