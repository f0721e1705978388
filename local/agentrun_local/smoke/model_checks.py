"""A check of the deployment's own model: whether it answers, and how soon."""

from agentrun_local.smoke.outcome import Outcome, Verdict, fails, holds, not_tried
from agentrun_local.smoke.run_stream import Frame
from agentrun_local.smoke.stream_checks import start_before_content
from agentrun_local.smoke.target import DEMO, Door, Target

_ANSWERS_WITHIN_S = 180
REMEDIES = {
    "MODEL_ERROR": (
        "Enable the model for the account: look it up (parameter Model) in the Bedrock console, in "
        "the stack's region. Anthropic's models need a form once per account, and a first call by "
        "a role that may aws-marketplace:Subscribe. A retired model, or one that needs a profile "
        "(eu., us., global.), fails like this too; the stream function's log has the cause."
    ),
    "MODEL_THROTTLED": (
        "The account's requests or tokens a minute are used up: see Service Quotas, Amazon "
        "Bedrock. Input and maxTokens are reserved when a call begins, so a smaller maxTokens "
        "helps; new accounts begin low. Try again in a minute."
    ),
    "MODEL_QUOTA": (
        "The account's quota of the model is used up, or zero: have it raised in Service Quotas, "
        "Amazon Bedrock, or at the provider, before you try again."
    ),
    "MODEL_TIMEOUT": (
        "The model said nothing for ModelIdleTimeout seconds: try again; if it happens every time, "
        "raise the parameter or choose another model."
    ),
    "USAGE_LIMIT": "The `limits` of the agent's file are below what a short answer needs.",
    "MAX_TOKENS": "The agent's max_tokens is below what a short answer needs.",
    "CONTENT_FILTERED": "A guardrail has stopped a harmless answer; look at its configuration.",
    "AGENT_ERROR": "The agent is not set up correctly; the stream function's log says why.",
}
"""Remedies by the run's `errorType`."""


def model(target: Target, door: Door) -> Outcome:
    """Run an agent on the deployment's own model, with a message that costs almost nothing."""
    agent = target.model_agent
    if agent is None:
        agent = next((a["id"] for a in target.agents if a.get("model") != DEMO), None)
    if agent is None:
        return not_tried("every agent runs on the demo model")
    with target.run(door, target.model_message, agent) as stream:
        frames = stream.whole(within_s=_ANSWERS_WITHIN_S)
    last = frames[-1]
    if last.event == "ERROR":
        return _failed(target, agent, stream.run_id)
    if last.event != "STOP":
        return fails(f"agent {agent}: the stream ended with {last.event}, not STOP")
    start = start_before_content(frames)
    if start.verdict is Verdict.FAILS:
        return fails(f"agent {agent}: START was {start.seen}", _HELD_BACK)
    return holds(f"agent {agent}: {_figures(frames)}")


_HELD_BACK = "See the remedy of start: the first small piece of the answer is held back."


def _failed(target: Target, agent: str, run_id: str) -> Outcome:
    answer = target.ask(Door.REST, "GET", f"{target.runs_of(agent)}/{run_id}/status")
    run = answer.json()
    told = str(run.get("errorType", "")) if isinstance(run, dict) else ""
    kind = told if told in REMEDIES else "not told"
    return fails(f"agent {agent}: FAILED, errorType {kind}", REMEDIES.get(kind, ""))


def _figures(frames: list[Frame]) -> str:
    spoken = next((frame for frame in frames if frame.event.endswith("_DELTA")), frames[-1])
    metrics = next((frame for frame in frames if frame.event == "METRICS"), spoken)
    cost, tokens = metrics.figure("costUsd"), metrics.figure("totalTokens")
    paid = "cost not known" if cost is None else f"{cost:.6f} USD"
    return f"first token {spoken.at - frames[0].at:.1f} s after START, {tokens or 0} tokens, {paid}"
