"""Agents of pydantic-ai that were made in Python, the twins of those that files describe."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_ai import Agent as AiAgent
from pydantic_ai import RunContext, Tool
from pydantic_ai.toolsets import FunctionToolset

from agent_catalog import AgentCatalog, load_catalog
from agent_catalog.toolkit import Session
from tests.fakes import counting_tools
from tools.calculator import calculate

Context = RunContext[Session]


def place_order(
    ctx: Context, symbol: str, side: Literal["buy", "sell"], shares: Annotated[int, Field(ge=1)]
) -> dict[str, object]:
    """Place an order."""
    figures = {"price": 2.0, "value": 2.0 * shares, "cash": 1000.0 - 2.0 * shares}
    texts = {"symbol": symbol, "side": side, "currency": "USD", "note": ctx.deps.tenant}
    return {"shares": shares, **figures, **texts}


def _called(ctx: Context) -> Session:
    return replace(ctx.deps, call_id=f"{ctx.deps.run_id}/{ctx.tool_call_id}")


def look(ctx: Context, what: str = "it") -> str:
    """Look at something; that has no effect."""
    return counting_tools.look(_called(ctx), what)


def send(ctx: Context, to: str = "Ana") -> str:
    """Send a letter, which must not arrive twice."""
    return counting_tools.send(_called(ctx), to)


async def book(ctx: Context, item: str = "room", seconds: float = 0) -> str:
    """Book something, once for each call however often that runs."""
    return await counting_tools.book(_called(ctx), item, seconds)


def order(ctx: Context, count: int = 1) -> str:
    """Order something, once it is approved."""
    return counting_tools.order(_called(ctx), count)


@dataclass
class Place:
    """Dependencies that are not the session."""

    tenant: str


def place_of(session: Session) -> Place:
    """Make the dependencies of `local`."""
    return Place(session.tenant)


def where(ctx: RunContext[Place]) -> str:
    """Say where we are."""
    return ctx.deps.tenant


echo = AiAgent()
analyst = AiAgent(tools=[Tool(calculate, name="calculate")])
finance_agent = AiAgent(deps_type=Session, tools=[Tool(place_order, requires_approval=True)])
counter = AiAgent(deps_type=Session, tools=[look, send], toolsets=[FunctionToolset([book, order])])
local = AiAgent(deps_type=Place, tools=[where], instructions="Be brief.")

MORE = {
    "finance_agent": "approval: [place_order]\n",
    "counter": "replay: {look: safe, book: idempotent}\napproval: [order]\n",
    "local": "deps: tests.fakes.own_agents:place_of\nallow_system_prompt: true\n",
}


def file_of(name: str, more: str = "") -> str:
    """Return the file of one of this module's agents."""
    head = f"name: {name}\ndescription: Made in Python.\nagent: tests.fakes.own_agents:{name}\n"
    return head + MORE.get(name, "") + more


def catalog_of(folder: Path, name: str, more: str = "") -> AgentCatalog:
    """Write the file of one of this module's agents; return the catalogue with it."""
    (folder / f"{name}.yaml").write_text(file_of(name, more), encoding="utf-8")
    return load_catalog("demo", folder)
