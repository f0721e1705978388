"""Asks what becomes of a paused run: approvals, tools in doubt, budgets."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentrun_cli.showing.tool_panel import line, panel
from agentrun_cli.terminal.asking import Asker, choose
from agentrun_cli.terminal.documents import as_json
from agentrun_cli.terminal.screen import is_plain
from agentrun_client import Budget, Decision, PendingCall, RequiredAction, Verdict, approve, reject

if TYPE_CHECKING:
    from rich.console import Console

    from agentrun_client import JsonValue


@dataclass(frozen=True)
class Answer:
    """What is decided."""

    decisions: Verdict | list[Decision]
    budget: Budget | None = None


Decider = Callable[[RequiredAction], Answer | None]
"""Decides a pause; None leaves the run waiting."""


class Questions:
    """Asks the person at the terminal."""

    def __init__(self, asker: Asker, screen: "Console") -> None:
        self._ask = asker
        self._screen = screen

    def __call__(self, action: RequiredAction) -> Answer | None:
        """Decide a pause; None if the person puts it off, by Ctrl-C, Ctrl-D or `later`."""
        try:
            if action.type == "BUDGET":
                return self._budget()
            one = self._doubt if action.type == "TOOL_IN_DOUBT" else self._approval
            decisions = [one(call) for call in action.approvals]
        except (EOFError, KeyboardInterrupt):
            self._say("")
            return None
        decided = [decision for decision in decisions if decision is not None]
        # The API takes a decision for every call or none.
        return Answer(decided) if decided and len(decided) == len(decisions) else None

    def _approval(self, call: PendingCall) -> Decision | None:
        self._show(call)
        match choose(self._ask, "Run it?", ["approve", "reject", "edit", "later"]):
            case "approve":
                return Decision(call.id, "APPROVE")
            case "reject":
                return Decision(call.id, "REJECT", reason=self._reason())
            case "edit":
                return Decision(call.id, "APPROVE", arguments=self._arguments(call))
            case _:
                return None

    def _doubt(self, call: PendingCall) -> Decision | None:
        self._show(call)
        self._say("This tool may have run already, and nobody knows.")
        question = "Run it again, don't, or tell what it gave?"
        match choose(self._ask, question, ["again", "don't", "result", "later"]):
            case "again":
                return Decision(call.id, "APPROVE")
            case "don't":
                return Decision(call.id, "REJECT", reason=self._reason())
            case "result":
                return Decision(call.id, "APPROVE", result=self._json("What it gave, as JSON: "))
            case _:
                return None

    def _budget(self) -> Answer | None:
        question = "The budget is spent. Raise it?"
        match choose(self._ask, question, ["raise", "reject", "later"]):
            case "raise":
                return Answer(approve(), self._amounts())
            case "reject":
                return Answer(reject(self._reason()))
            case _:
                return None

    def _amounts(self) -> Budget:
        while True:
            usd = self._number("What the run may cost in all, in USD (empty: as it is): ")
            tokens = self._whole_number("Tokens that it may use in all (empty: as it is): ")
            if usd is not None or tokens is not None:
                return Budget(usd, tokens)
            self._say("Give one of them.")

    def _number(self, question: str) -> float | None:
        while True:
            typed = self._ask(question).strip()
            if not typed:
                return None
            try:
                number = float(typed)
            except ValueError:
                number = math.nan
            # `1e999` reads as infinity, which JSON has no number for.
            if not math.isfinite(number):
                self._say(f"'{typed}' is no number.")
            elif number <= 0:
                self._say("It has to be above 0.")
            else:
                return number

    def _whole_number(self, question: str) -> int | None:
        while (number := self._number(question)) is not None and not number.is_integer():
            self._say("It has to be a whole number.")
        return None if number is None else int(number)

    def _reason(self) -> str | None:
        return self._ask("Why? The model is told (empty: no reason): ").strip() or None

    def _arguments(self, call: PendingCall) -> "dict[str, JsonValue]":
        while True:
            edited = self._json("Arguments: ", as_json(call.arguments))
            if isinstance(edited, dict):
                return edited
            self._say("Arguments are a JSON object.")

    def _json(self, question: str, prefill: str = "") -> "JsonValue":
        while True:
            try:
                value: JsonValue = json.loads(self._ask(question, prefill))
            except ValueError as error:
                self._say(f"That is not JSON: {error}.")
            else:
                return value

    def _show(self, call: PendingCall) -> None:
        if is_plain(self._screen):
            self._say(line(call.tool_name, call.arguments))
        else:
            self._screen.print(panel(call.tool_name, call.arguments))

    def _say(self, text: str) -> None:
        self._screen.out(text, highlight=False)


def decide_all(*, approving: bool) -> Decider:
    """Return what approves or rejects tools without asking; doubts and budgets it leaves."""

    def decide(action: RequiredAction) -> Answer | None:
        if action.type != "TOOL_APPROVAL":
            return None
        return Answer(
            approve() if approving else reject("It was rejected without being looked at.")
        )

    return decide


def leave(_action: RequiredAction) -> None:
    """Leave the run waiting: there is nobody to ask."""
