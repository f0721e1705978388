"""What a person types decides what the API is told of a paused run."""

import io
from collections.abc import Sequence

import pytest
from rich.console import Console

from agentrun_cli.running.decisions import Answer, Questions, decide_all, leave
from agentrun_client import (
    Budget,
    Decision,
    JsonValue,
    PendingCall,
    RequiredAction,
    approve,
    reject,
)

FIRST = PendingCall("c1", "place_order", "place_order", {"shares": 1})
SECOND = PendingCall("c2", "send", "send", {"to": "ana"})
APPROVALS = RequiredAction("TOOL_APPROVAL", "a1", (FIRST, SECOND))
DOUBT = RequiredAction("TOOL_IN_DOUBT", "a1", (FIRST,))
BUDGET = RequiredAction("BUDGET", "a1")


class Typed:
    """Types lines; the prefills and the screen can be looked at."""

    def __init__(self, lines: Sequence[str | BaseException]) -> None:
        self._lines = list(lines)
        self.prefills: list[str] = []
        self.screen = Console(file=io.StringIO(), width=80)

    def __call__(self, question: str, prefill: str = "") -> str:
        self.prefills.append(prefill)
        line = self._lines.pop(0) if self._lines else EOFError()
        if isinstance(line, BaseException):
            raise line
        return line

    def decide(self, action: RequiredAction) -> Answer | None:
        return Questions(self, self.screen)(action)

    @property
    def shown(self) -> str:
        assert isinstance(self.screen.file, io.StringIO)
        return self.screen.file.getvalue()


@pytest.mark.parametrize(
    ("action", "lines", "answer"),
    [
        (
            APPROVALS,
            ["a", "reject", "too late"],
            Answer([Decision("c1", "APPROVE"), Decision("c2", "REJECT", reason="too late")]),
        ),
        (
            APPROVALS,
            ["x", "", "APPROVE", "r", " "],
            Answer([Decision("c1", "APPROVE"), Decision("c2", "REJECT")]),
        ),
        (
            APPROVALS,
            ["e", "{", "[]", '{"shares": 2}', "a"],
            Answer([Decision("c1", "APPROVE", arguments={"shares": 2}), Decision("c2", "APPROVE")]),
        ),
        (DOUBT, ["again"], Answer([Decision("c1", "APPROVE")])),
        (DOUBT, ["don't", "unknown"], Answer([Decision("c1", "REJECT", reason="unknown")])),
        (DOUBT, ["r", "null"], Answer([Decision("c1", "APPROVE", result=None)])),
        (BUDGET, ["raise", "", "", "0", "-1", "x", "2.5", ""], Answer(approve(), Budget(2.5))),
        (BUDGET, ["raise", "", "5000"], Answer(approve(), Budget(None, 5000))),
        (BUDGET, ["raise", "inf", "1e999", "nan", "3", ""], Answer(approve(), Budget(3.0))),
        (BUDGET, ["raise", "", "0.5", "inf", "1e999", "7"], Answer(approve(), Budget(None, 7))),
        (BUDGET, ["raise", "", "1e3"], Answer(approve(), Budget(None, 1000))),
        (BUDGET, ["reject", ""], Answer(reject())),
    ],
)
def test_what_is_typed_is_what_is_decided(
    action: RequiredAction, lines: Sequence[str], answer: Answer
) -> None:
    assert Typed(lines).decide(action) == answer


@pytest.mark.parametrize("action", [APPROVALS, DOUBT, BUDGET])
@pytest.mark.parametrize("line", ["later", KeyboardInterrupt(), EOFError()])
def test_a_decision_can_be_put_off(action: RequiredAction, line: str | BaseException) -> None:
    assert Typed([line]).decide(action) is None


def test_one_call_that_is_put_off_puts_off_all() -> None:
    assert Typed(["a", "later"]).decide(APPROVALS) is None


def test_a_call_is_shown_before_it_is_decided_and_its_arguments_can_be_edited() -> None:
    typed = Typed(["e", '{"shares": 2}', "a"])
    typed.decide(APPROVALS)
    assert 'tool place_order {"shares": 1}' in typed.shown
    assert typed.prefills[1] == '{"shares": 1}'


def test_what_is_asked_about_is_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    typed = Typed(["later"])
    typed.screen = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    arguments: JsonValue = {**{f"name-{n}": "x" * 300 for n in range(30)}, "hidden": "!"}
    typed.decide(RequiredAction("TOOL_APPROVAL", "a1", (PendingCall("c", "t", "t", arguments),)))
    assert '"hidden": "!"' in typed.shown
    assert typed.shown.count("x") == 30 * 300


def test_without_anybody_to_ask_only_approvals_are_decided() -> None:
    assert decide_all(approving=True)(APPROVALS) == Answer(approve())
    rejected = decide_all(approving=False)(APPROVALS)
    assert rejected is not None
    assert rejected.decisions == reject("It was rejected without being looked at.")
    for action in (DOUBT, BUDGET):
        assert decide_all(approving=True)(action) is None
    leave(APPROVALS)
