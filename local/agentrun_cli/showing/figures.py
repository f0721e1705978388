"""
What a run has used, in a line.

A file of its own: runs as they end, results and tables say it in the same words.
"""

from typing import TYPE_CHECKING

from agentrun_cli.showing.tool_panel import duration

if TYPE_CHECKING:
    from agentrun_client import Metrics


def figures(metrics: "Metrics | None") -> str:
    """Return tokens, cost, duration and model, as far as they are known."""
    if metrics is None:
        return ""
    said = []
    if metrics.total_tokens is not None:
        said.append(f"{metrics.total_tokens} tokens")
    if metrics.cost_usd is not None:
        said.append(cost(metrics.cost_usd))
    if metrics.duration_ms is not None:
        said.append(duration(metrics.duration_ms))
    if metrics.model is not None:
        said.append(metrics.model)
    return " · ".join(said)


def cost(usd: float) -> str:
    """Return an amount with as many digits as it needs to be read."""
    return f"{usd:.6f} USD" if 0 < usd < 0.01 else f"{usd:.2f} USD"
