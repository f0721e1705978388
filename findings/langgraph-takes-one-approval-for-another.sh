#!/usr/bin/env bash
# langgraph 1.2.24: `ToolNode` with several calls of one answer, of which some ask by `interrupt()`.
#
# ToolNode runs the calls of one answer in parallel, but within one task, and a resumed task starts again.
# - Answers are handed out in the order in which the calls ask, not by call. Resumed with "yes" for the
#   interrupt "pay 10?", by that interrupt's id, the call that pays 10000 gets the "yes" if it is the first
#   to ask this time, for example because its look-up is in a cache now. It pays, and nobody was ever
#   shown its question.
# - A call that has finished beside one that asks runs again: the mail is sent twice.
# `create_agent` of langchain 1.5.2 makes each call a task of its own: with it, the same tools pay 10 and
# send one mail. Nothing in the two APIs says that they differ here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder"/venv/bin/pip install --quiet --disable-pip-version-check langchain==1.5.2 langchain-core==1.8.3 langgraph==1.2.24 langgraph-prebuilt==1.1.3
"$folder/venv/bin/python" - <<'PY'
import threading
from collections import Counter

from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command, interrupt

THREAD = {"configurable": {"thread_id": "1"}}
done: list[str] = []


class Model(GenericFakeChatModel):
    def bind_tools(self, *_: object, **__: object) -> "Model":
        return self


def model(*calls: dict) -> Model:
    numbered = [call | {"id": str(number)} for number, call in enumerate(calls)]
    return Model(messages=iter([AIMessage("", tool_calls=numbered), AIMessage("Done.")]))


def graph(model: Model, tools: list):
    """Build the usual graph of a model and its tools by hand."""
    builder = StateGraph(MessagesState)
    builder.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    builder.add_node("tools", ToolNode(tools))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition)
    builder.add_edge("tools", "model")
    return builder.compile(checkpointer=InMemorySaver())


def prebuilt(model: Model, tools: list):
    return create_agent(model, tools, checkpointer=InMemorySaver())


def approve_ten(build) -> tuple[list[str], list[str]]:
    """Approve the payment of 10; return the questions that were shown before, and what was paid."""
    done.clear()
    turns: Counter[int] = Counter()
    asked = {(amount, turn): threading.Event() for amount in (10, 10000) for turn in (1, 2)}
    # What a payment looks up before it asks: the larger one is the slower one at first, and the faster
    # one when it is looked up again.
    waits_for = {(10000, 1): asked[10, 1], (10, 2): asked[10000, 2]}

    def pay(amount: int) -> str:
        """Pay an amount if a person approves it."""
        turns[amount] += 1
        turn = (amount, turns[amount])
        if turn in waits_for:
            waits_for[turn].wait(5)
        try:
            if interrupt(f"pay {amount}?") == "yes":
                done.append(f"paid {amount}")
        finally:
            asked[turn].set()
        return "done"

    calls = [{"name": "pay", "args": {"amount": amount}} for amount in (10, 10000)]
    agent = build(model(*calls), [pay])
    shown = agent.invoke({"messages": "Go."}, THREAD)["__interrupt__"]
    ten = next(question for question in shown if question.value == "pay 10?")
    agent.invoke(Command(resume={ten.id: "yes"}), THREAD)
    return sorted(question.value for question in shown), list(done)


def mail_and_ask(build) -> list[str]:
    done.clear()

    def mail(to: str) -> str:
        """Send a mail."""
        done.append(f"mailed {to}")
        return "sent"

    def ask(question: str) -> str:
        """Ask a person."""
        return interrupt(question)

    calls = ({"name": "mail", "args": {"to": "ann"}}, {"name": "ask", "args": {"question": "Go on?"}})
    agent = build(model(*calls), [mail, ask])
    agent.invoke({"messages": "Go."}, THREAD)
    agent.invoke(Command(resume="yes"), THREAD)
    return list(done)


seen = {build.__name__: (approve_ten(build), mail_and_ask(build)) for build in (graph, prebuilt)}
for name, facts in seen.items():
    print(f"{name}: ((shown, done after the yes for 10), mails) = {facts}")
assert seen == {
    "graph": ((["pay 10?"], ["paid 10000"]), ["mailed ann", "mailed ann"]),
    "prebuilt": ((["pay 10000?", "pay 10?"], ["paid 10"]), ["mailed ann"]),
}
PY
