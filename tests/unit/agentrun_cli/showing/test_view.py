"""What a person sees of a run: in order, marked where it is void, harmless."""

import io
from collections.abc import Sequence

import pytest
from rich.console import Console

from agentrun_cli.showing.tool_panel import MOST_LINES, duration, readable
from agentrun_cli.showing.view import RunView
from agentrun_client import (
    Cancelled,
    ContentDelta,
    Failed,
    Metrics,
    Paused,
    ReasoningDelta,
    RequiredAction,
    RunEvent,
    Start,
    StepReset,
    Stop,
    ToolEnd,
    ToolError,
    ToolStart,
)

START = Start(1, 0, "run-1", "session-1", "echo")
STOP = Stop(99, 0, "run-1")


def screen(*, is_terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=is_terminal, color_system=None, width=60)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def shown(events: Sequence[RunEvent], *, term: str = "xterm", answers: bool = True) -> str:
    """Show events at a terminal, the answer with the rest, and return what was printed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERM", term)
        console = screen(is_terminal=True)
        view = RunView(console, console if answers else None)
        for event in events:
            view.show(event)
    return written(console)


def text(*pieces: str, first_id: int = 2) -> list[RunEvent]:
    return [ContentDelta(number, 0, piece) for number, piece in enumerate(pieces, first_id)]


def test_an_answer_is_printed_as_it_comes_and_ends_its_line() -> None:
    metrics = Metrics(5, 0, total_tokens=12, cost_usd=0.0042, duration_ms=1234, model="demo")
    printed = shown([START, *text("Hel", "lo\n", "you"), metrics, STOP])
    assert printed == "Hello\nyou\n12 tokens · 0.004200 USD · 1.2 s · demo\n"


def test_reasoning_stands_apart_from_the_answer() -> None:
    printed = shown([START, ReasoningDelta(2, 0, "Hm."), *text("So.", first_id=3), STOP])
    assert printed == "Hm.\n\nSo.\n"


def test_a_tool_call_is_a_box_with_arguments_result_and_duration() -> None:
    events: list[RunEvent] = [
        START,
        ToolStart(2, 1000, "c1", "calculate", {"expression": "1 + 1"}),
        ToolEnd(3, 1250, "c1", "calculate", 2),
    ]
    lines = shown(events).splitlines()
    assert lines[0] == "▸ calculate …"
    assert "calculate" in lines[1]
    assert '{"expression": "1 + 1"}' in lines[2]
    assert lines[4].split()[1] == "2"
    assert "250 ms" in lines[5]


def test_tools_that_run_side_by_side_keep_their_own_arguments() -> None:
    events: list[RunEvent] = [
        ToolStart(2, 0, "a", "find", {"q": "first"}),
        ToolStart(3, 0, "b", "find", {"q": "second"}),
        ToolEnd(4, 5, "b", "find", "B"),
        ToolError(5, 9, "a", "find", "A broke"),
    ]
    printed = shown(events)
    second, first = printed.index("second"), printed.index("first")
    assert second < printed.index("B ") < first < printed.index("A broke")


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_dumb_terminal_gets_lines_without_boxes(term: str) -> None:
    events = [
        START,
        ReasoningDelta(2, 0, "Hm."),
        ToolStart(3, 0, "c1", "calculate", {"expression": "1 + 1"}),
        ToolError(4, 2000, "c1", "calculate", "no\nnumber"),
        *text("Sorry.", first_id=5),
        STOP,
    ]
    assert shown(events, term=term) == (
        'reasoning: Hm.\ntool calculate {"expression": "1 + 1"}\n'
        "tool calculate failed: no number (2.0 s)\nSorry.\n"
    )


def test_what_a_reset_makes_void_is_said_and_what_holds_is_printed_again() -> None:
    events = [
        START,
        *text("Kept, ", "void"),
        StepReset(4, 0, to_event_id=2, attempt=2, reason="MODEL_INTERRUPTED"),
        *text("right.", first_id=5),
        STOP,
    ]
    first, notice, last = shown(events).splitlines()
    assert first == "Kept, void"
    assert "the model broke off" in notice
    assert "is void" in notice
    assert "attempt 2" in notice
    assert last == "Kept, right."


def test_a_reset_that_makes_nothing_void_is_said_too() -> None:
    events = [START, *text("All of it."), StepReset(3, 0, 2, 2, "HANDED_OVER"), STOP]
    answer, notice = shown(events).splitlines()
    assert answer == "All of it."
    assert "handed over; it goes on" in notice


def test_a_reset_reaches_back_over_a_tool_that_had_not_ended() -> None:
    events = [
        START,
        *text("Before. "),
        ToolStart(3, 0, "c1", "find", {}),
        StepReset(1_000_004, 0, 1, 2, "EXECUTOR_LOST"),
        *text("Again.", first_id=1_000_005),
        ToolEnd(1_000_006, 9, "c1", "find", "late"),
        STOP,
    ]
    printed = shown(events)
    assert "void" in printed
    assert printed.count("Before.") == 1
    # The start that its duration would be counted from is void.
    assert "ms" not in printed


def test_a_tool_alone_can_be_void() -> None:
    events: list[RunEvent] = [
        START,
        ToolStart(2, 0, "c1", "find", {}),
        StepReset(3, 0, 1, 2, "EXECUTOR_LOST"),
    ]
    assert "is void" in shown(events)


def test_a_tool_that_ended_before_a_reset_stays() -> None:
    events = [
        START,
        ToolStart(2, 0, "c1", "find", {}),
        ToolEnd(3, 9, "c1", "find", "found"),
        *text("void", first_id=4),
        StepReset(5, 0, 3, 2, "EXECUTOR_LOST"),
        *text("right", first_id=6),
        STOP,
    ]
    assert shown(events, term="dumb").splitlines()[-1] == "right"
    assert shown(events, term="dumb").count("found") == 1


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (Failed(9, 0, "The tool\nbroke."), "failed: The tool broke."),
        (Cancelled(9, 0, "On request."), "cancelled: On request."),
        (Paused(9, 0, RequiredAction("BUDGET", "a1")), "waits for a larger budget"),
        (Paused(9, 0, RequiredAction("TOOL_APPROVAL", "a1")), "waits for an approval"),
    ],
)
def test_an_end_that_is_no_answer_is_said(end: RunEvent, said: str) -> None:
    assert said in shown([START, *text("So far"), end]).splitlines()[1]


@pytest.mark.parametrize("attack", ["\x1b]0;t\x07", "\x9b2J", "\r", "\u202e"])
def test_nothing_that_a_run_says_does_more_than_appear(attack: str) -> None:
    said: list[RunEvent] = [
        ReasoningDelta(2, 0, attack),
        ContentDelta(3, 0, attack),
        ToolStart(4, 0, "c1", f"tool{attack}", {attack: attack}),
        ToolEnd(5, 0, "c1", f"tool{attack}", {"found": attack}),
        ToolStart(6, 0, "c2", "tool", attack),
        ToolError(7, 0, "c2", "tool", attack),
        StepReset(8, 0, 3, 2, attack),  # type: ignore[arg-type] # of a server that is not ours
        Metrics(9, 0, model=attack),
        Failed(10, 0, attack),
    ]
    for term in ("xterm", "dumb"):
        printed = shown([START, *said], term=term)
        assert not [each for each in printed if not each.isprintable() and each != "\n"]


def test_an_answer_that_is_printed_elsewhere_is_not_shown() -> None:
    printed = shown([START, *text("secret"), Failed(9, 0, "broke")], answers=False)
    assert printed == "failed: broke\n"


def test_reasoning_does_not_fill_files() -> None:
    console = screen(is_terminal=False)
    view = RunView(console, None)
    view.show(ReasoningDelta(2, 0, "Hm."))
    view.show(STOP)
    assert written(console) == ""


def test_long_results_are_cut_and_say_so() -> None:
    assert readable("\n".join(str(number) for number in range(30))).splitlines()[-1] == (
        f"… {30 - MOST_LINES} more lines"
    )
    assert readable("x" * 201) == "x" * 200 + "…"
    assert readable('{"a": 1}') == '{"a": 1}'
    assert readable("17") == "17"
    assert readable({"a": "x" * 60}).startswith('{\n  "a"')


@pytest.mark.parametrize(
    ("ms", "said"), [(0, "0 ms"), (999, "999 ms"), (1500, "1.5 s"), (61_000, "1 min 1 s")]
)
def test_durations_are_readable(ms: int, said: str) -> None:
    assert duration(ms) == said
