"""Values of the client are printed with the API's own names."""

from dataclasses import replace
from datetime import UTC, datetime

from agentrun_cli.terminal.wire import as_wire, event_as_wire
from agentrun_client import JsonValue, Run, RunResult, StepReset, ToolCall, ToolStart

AT = datetime(2026, 11, 30, 12, 0, 0, 5000, tzinfo=UTC)


def test_names_are_the_apis_and_what_is_not_known_is_left_out() -> None:
    run = Run("1", "echo", "s", "ana", "acme", "RUNNING", AT, AT, 1, 2, cost_usd=0.0)
    said = as_wire(run)
    assert said["agentId"] == "echo"
    assert said["createdAt"] == "2026-11-30T12:00:00.005Z"
    assert said["costUsd"] == 0.0
    assert "output" not in said


def test_a_mark_that_is_not_set_is_left_out_as_in_the_api() -> None:
    whole = Run("1", "echo", "s", "ana", "acme", "RUNNING", AT, AT, 1, 2, input="x")
    assert "inputTruncated" not in as_wire(whole)
    assert as_wire(replace(whole, input_truncated=True))["inputTruncated"] is True
    # The API says this one in any case.
    assert as_wire(ToolCall("c1", "find", {}, None, is_error=False))["isError"] is False


def test_a_tools_own_json_stays_as_it_is() -> None:
    arguments: JsonValue = {"snake_case": None, "list": [{"a_b": None}]}
    call = ToolCall("c1", "find", arguments, None, is_error=False)
    result = RunResult("1", "s", "echo", "COMPLETED", "text", tools=(call,))
    assert as_wire(result)["tools"][0]["toolInput"] == arguments


def test_an_event_has_its_name_and_its_fields_side_by_side() -> None:
    assert event_as_wire(ToolStart(7, 1, "c1", "find", {"a_b": 1})) == {
        "id": 7,
        "event": "TOOL_START",
        "timestamp": 1,
        "callId": "c1",
        "name": "find",
        "arguments": {"a_b": 1},
    }
    assert event_as_wire(StepReset(7, 1, 3, 2, "HANDED_OVER"))["toEventId"] == 3
