"""An agent whose tools count their effects."""

from pathlib import Path

from agent_catalog import load_catalog
from agentrun.domain.agents import Agent

TOOLS = ("look", "send", "book", "order", "seen")
AGENT = f"""
name: Counter
description: Counts the effects of its tools.
tools: [{", ".join(f"tests.fakes.counting_tools:{name}" for name in TOOLS)}]
replay: {{look: safe, book: idempotent, seen: safe}}
approval: [order]
"""


def counter(folder: Path, more: str = "") -> Agent:
    """Write the agent's file, `more` at its end; return the agent, whose id is `counter`."""
    (folder / "counter.yaml").write_text(AGENT + more, encoding="utf-8")
    return load_catalog("demo", folder).agent("counter")
