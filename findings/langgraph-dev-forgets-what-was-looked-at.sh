#!/usr/bin/env bash
# langgraph-api 0.16.7 (`langgraph dev`): after one look at a thread's state, checkpoints are not saved.
#
# The server writes what it holds to `.langgraph_api` every 10 s, so a run that waits for an approval
# survives even SIGKILL: started again, the server takes the "yes" and pays. But once the state of any
# thread has been read, for example to show a question, the files of checkpoints are left alone until
# the server is stopped properly; those of threads and runs are still written. For each read a saver is
# made that registers stores of its own under the names of the real ones, and only what is registered
# is written.
# After a kill the thread says `interrupted` and its run `success`, as before, but its state is gone.
# The "yes" ends with a TypeError, "'NoneType' object is not iterable"; nothing is paid.
# A server that is stopped by SIGTERM writes everything, and then the run goes on.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder"/venv/bin/pip install --quiet --disable-pip-version-check langgraph-api==0.16.7 langgraph-runtime-inmem==0.36.7 "langgraph-cli[inmem]==0.4.40" langgraph==1.2.24 langgraph-checkpoint==4.3.2 langgraph-sdk==0.4.14 langchain-core==1.8.3
cd "$folder"
cat > graph.py <<'PY'
from pathlib import Path

from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt


def pay(state: MessagesState) -> dict:
    """Pay what the message says, if a person approves it."""
    if interrupt("pay?") == "yes":
        with Path("paid").open("a") as file:
            file.write(state["messages"][0].content)
    return {}


graph = StateGraph(MessagesState).add_node("pay", pay).add_edge(START, "pay").compile()
PY
"$folder/venv/bin/python" - <<'PY'
import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from langgraph_sdk import get_sync_client

ROOT = Path.cwd()


def wait(condition) -> None:
    """Wait until something is so, for a minute and a half at most."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < 90, "it never was so"
        time.sleep(0.1)


class Server:
    """`langgraph dev`, with a folder to keep what it holds."""

    def __init__(self, name: str) -> None:
        self.folder = ROOT / name
        self.folder.mkdir()
        graphs = {"payer": f"{ROOT}/graph.py:graph"}
        (self.folder / "langgraph.json").write_text(json.dumps({"dependencies": ["."], "graphs": graphs}))

    def __enter__(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [Path(sys.executable).with_name("langgraph"), "dev", "--no-browser", "--no-reload"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--port", str(port)],
                cwd=self.folder,
                env=os.environ | {"LANGGRAPH_CLI_NO_ANALYTICS": "1", "LANGSMITH_TRACING": "false"},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        url = f"http://127.0.0.1:{port}"
        wait(lambda: answers(url))
        self.client = get_sync_client(url=url)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGKILL)

    def stop(self, how: signal.Signals) -> None:
        if self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(60)

    def written(self) -> int:
        """Return when the file of threads and runs was written, in nanoseconds, 0 if never."""
        file = self.folder / ".langgraph_api" / ".langgraph_ops.pckl"
        return file.stat().st_mtime_ns if file.exists() else 0

    def wait_until_written(self) -> None:
        """Wait for the second time that it is written, by when all that the server writes is written."""
        for _ in range(2):
            before = self.written()
            wait(lambda: self.written() not in (0, before))
        time.sleep(1)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ok", timeout=5).is_success
    except httpx.TransportError:
        return False


def statuses(server: Server, thread: str, run: str) -> tuple[str, str]:
    client = server.client
    return client.threads.get(thread)["status"], client.runs.get(thread, run)["status"]


def case(name: str, looks: bool, how: signal.Signals) -> tuple:
    """Stop a server whose run waits for an approval, start it again and approve."""
    server = Server(name)
    with server:
        client = server.client
        thread = client.threads.create()["thread_id"]
        message = {"role": "user", "content": "5"}
        run = client.runs.create(thread, "payer", input={"messages": [message]})["run_id"]
        client.runs.join(thread, run)
        if looks:
            assert client.threads.get_state(thread)["interrupts"][0]["value"] == "pay?"
        server.wait_until_written()
        before = statuses(server, thread, run)
        server.stop(how)
    with server:
        client = server.client
        after = statuses(server, thread, run)
        kept = len(client.threads.get_state(thread)["values"].get("messages", ()))
        approval = client.runs.create(thread, "payer", command={"resume": "yes"})["run_id"]
        client.runs.join(thread, approval)
        approved = statuses(server, thread, approval)
        file = server.folder / "paid"
        return before, after, kept, approved, file.read_text() if file.exists() else "nothing"


CASES = {
    "not-looked-at-killed": (False, signal.SIGKILL),
    "looked-at-killed": (True, signal.SIGKILL),
    "looked-at-stopped": (True, signal.SIGTERM),
}
with ThreadPoolExecutor() as pool:
    running = {name: pool.submit(case, name, *how) for name, how in CASES.items()}
seen = {name: future.result() for name, future in running.items()}
for name, (before, after, kept, approved, paid) in seen.items():
    print(f"{name}: (thread, run) = {before}, after the restart {after} with {kept} messages,")
    print(f"    approved {approved}, paid {paid}")
WAITS = ("interrupted", "success")
assert seen == {
    "not-looked-at-killed": (WAITS, WAITS, 1, ("idle", "success"), "5"),
    "looked-at-killed": (WAITS, WAITS, 0, ("error", "error"), "nothing"),
    "looked-at-stopped": (WAITS, WAITS, 1, ("idle", "success"), "5"),
}
assert "'NoneType' object is not iterable" in (ROOT / "looked-at-killed" / "log").read_text()
PY
