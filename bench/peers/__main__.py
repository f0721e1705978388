"""`python -m bench.peers`: ask Agentrun and its peers the same questions, and print a table."""

import argparse
import asyncio
import datetime
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from bench.peers.model_server import model_server
from bench.peers.peer import Peer
from bench.peers.place import place_of
from bench.peers.questions import (
    Answers,
    approvals,
    budgets,
    cancels,
    disconnects,
    kills,
    polls,
    repeats,
    weights,
)
from bench.peers.report import as_markdown
from bench.peers.speakers.agentrun import Agentrun
from bench.peers.speakers.agno import Agno
from bench.peers.speakers.langgraph import LangGraph
from bench.peers.speakers.plain import AgentCore, Dbos, FastApi
from bench.table import machine

PEERS: Sequence[type[Peer]] = (Agentrun, FastApi, LangGraph, Agno, AgentCore, Dbos)
SEEN: dict[str, ModuleType] = {
    "disconnects": disconnects,
    "repeats": repeats,
    "kills": kills,
    "cancels": cancels,
    "approvals": approvals,
    "budgets": budgets,
}
"""What is seen from outside, and does not depend on how fast the machine is."""
MEASURED: dict[str, ModuleType] = {"polls": polls, "weights": weights}
"""What does, so that one peer is measured after the other."""
QUESTIONS = {**SEEN, **MEASURED}


async def ask(peer: Peer, name: str, folder: Path, shows_log: bool) -> Answers:
    """Ask one question of a peer that has just been started; one that breaks off is an answer."""
    place_folder = folder / f"{type(peer).__name__}-{name}"
    async with model_server() as model, place_of(peer, place_folder, model) as place:
        try:
            await place.serve()
            answers: Answers = await QUESTIONS[name].ask(place)
        except Exception as error:  # noqa: BLE001 - the other questions are asked all the same
            answers = {f"({name})": f"{type(error).__name__}: {error}"[:120]}
        if shows_log:
            log = place_folder / "server.log"
            print(await asyncio.to_thread(log.read_text, errors="replace"), file=sys.stderr)
    print(f"{peer.name}: {name}", file=sys.stderr, flush=True)
    return answers


async def compare(options: argparse.Namespace, folder: Path) -> dict[str, Answers]:
    """Ask what is seen of all peers at once, then measure one after the other."""
    peers = [peer() for peer in PEERS if not options.peer or peer.__name__ in options.peer]
    chosen = options.question or [*SEEN, *MEASURED]
    found: dict[str, Answers] = {peer.name: {} for peer in peers}
    places = asyncio.Semaphore(options.at_once)

    async def look(peer: Peer) -> None:
        async with places:
            for name in SEEN:
                if name in chosen:
                    found[peer.name] |= await ask(peer, name, folder, options.logs)

    await asyncio.gather(*(look(peer) for peer in peers))
    for name in MEASURED:
        for peer in peers if name in chosen else ():
            found[peer.name] |= await ask(peer, name, folder, options.logs)
    return found


def version_of(peer: Peer) -> str:
    """Return the versions of a peer's packages, as its own interpreter sees them."""
    said = "print(*(f'{name} {m.version(name)}' for name in sys.argv[1:]), sep=', ')"
    code = f"import sys, importlib.metadata as m; {said}"
    command = [str(peer.python), "-c", code, *peer.packages]
    return subprocess.check_output(command, text=True).strip()


def main() -> None:
    """Read the options, ask, and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("question", nargs="*", help="or all")
    parser.add_argument("--peer", action="append", choices=[peer.__name__ for peer in PEERS])
    parser.add_argument("--at-once", type=int, default=3, help="peers that are looked at together")
    parser.add_argument("--logs", action="store_true", help="print the servers' own output")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="agentrun-peers-") as folder:
        found = asyncio.run(compare(options, Path(folder)))
    print(as_markdown(found))
    for peer in (peer() for peer in PEERS):
        if peer.name in found:
            print(f"- {peer.name}: {version_of(peer)}")
    today = datetime.datetime.now(tz=datetime.UTC).date()
    print(f"\n{machine(platform.python_version())}, {today}")


if __name__ == "__main__":
    main()
