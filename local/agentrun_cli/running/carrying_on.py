"""
Follows a run across its pauses.

A file of its own: `chat` and `run` do it, and neither needs the other.
"""

from dataclasses import dataclass

from agentrun_cli.running.decisions import Answer, Decider
from agentrun_cli.running.following import Shows, follow
from agentrun_cli.terminal.complaints import remark
from agentrun_client import (
    Client,
    InvalidRequestError,
    Paused,
    RunStream,
    TerminalEvent,
    Verdict,
)


@dataclass(frozen=True)
class Ended:
    """A run that goes on no more by itself, and the stream that said so."""

    stream: RunStream
    agent_id: str
    end: TerminalEvent | None


def carry_on(
    client: Client, agent_id: str, stream: RunStream, view: Shows, decide: Decider
) -> Ended:
    """
    Follow a run to its end, with a decision at each of its pauses, until nobody decides.

    Raises:
        KeyboardInterrupt, AgentrunError: As `follow`.
    """
    pause: TerminalEvent | None = None
    answer: Answer | None = None
    while True:
        try:
            end = follow(client, stream, view).end
        except InvalidRequestError as error:
            if answer is None or (isinstance(answer.decisions, Verdict) and not answer.budget):
                raise
            # Edited arguments that do not fit the tool, or too large a budget; the run still waits.
            remark(f"not decided: {error.detail}")
            end = pause
        if not isinstance(end, Paused):
            return Ended(stream, agent_id, end)
        pause = end
        answer = decide(pause.required_action)
        if answer is None:
            return Ended(stream, agent_id, pause)
        run_id = str(stream.run_id)
        stream = client.runs.resume(agent_id, run_id, answer.decisions, budget=answer.budget)


def how_to_go_on(agent_id: str, run_id: str) -> str:
    """Say how to decide a run that was left waiting."""
    return f"run {run_id} waits for a decision: agentrun chat {agent_id} --resume {run_id}"
