"""A copy of the project with an agent that leaves traces, run as the local stack runs it."""

import os
import re
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from agentrun.adapters.dynamo.run_store import DynamoRunStore
from agentrun.adapters.dynamo.table import Table
from agentrun.domain.runs import AgentRun, RunKey
from agentrun_local.machine.queues_and_buckets import local_client
from tests.e2e.conftest import ROOT, LocalStack, running_stack
from tests.e2e.processes import descends_from

AGENT = "endurance"
_LAYER = Path(__file__).parent / "layer"
_SHORTEST = re.compile(r"MinValue: 60\n(?=    # Lambda's maximum)")
"""Of the functions' time-outs: a deployment with a second to live serves nobody, a test it does."""
_WITHOUT_BYTECODE = shutil.ignore_patterns("__pycache__")


@dataclass(frozen=True)
class Effects:
    """How many effects a call has had; its id ends with the one that TOOL_START says."""

    tool: str
    call_id: str
    count: int


@dataclass(frozen=True)
class EnduranceStack:
    """A running stack, and the folder where its runs leave traces."""

    local: LocalStack
    folder: Path
    store: DynamoRunStore

    def now(self, run_id: str) -> AgentRun:
        """Look into the table, which changes nothing; a poll might ask for an executor."""
        return self.store.get(RunKey(tenant="dev-org", run_id=run_id))

    def effects(self, run_id: str) -> list[Effects]:
        """Return the calls of a run that have had effects, and how many."""
        found = []
        for call in (self.folder / "effects" / run_id).glob("*"):
            tool, _, call_id = call.name.partition(" ")
            if count := len(list(call.iterdir())):
                found.append(Effects(tool, unquote(call_id), count))
        return found

    def executor_of(self, session_id: str) -> int | None:
        """Return the process that executes a session's run at this moment."""
        try:
            return int((self.folder / "executing" / session_id).read_text())
        except FileNotFoundError:
            return None

    def kill(self, session_id: str) -> bool:
        """Kill the process that executes a session's run; False if there is none."""
        pid = self.executor_of(session_id)
        # Never another stack's process, whatever a note says.
        if pid is None or not descends_from(pid, self.local.process.pid):
            return False
        os.kill(pid, signal.SIGKILL)
        (self.folder / "executing" / session_id).unlink(missing_ok=True)
        return True


@contextmanager
def endurance_stack(
    scratch: Path,
    *arguments: str,
    variables: Mapping[str, str],
    one_run_a_process: bool = True,
) -> Iterator[EnduranceStack]:
    """
    Run the copy until the end of the block.

    Args:
        scratch: An empty folder, or none yet.
        arguments: More options of `agentrun dev`.
        variables: More variables of its functions.
        one_run_a_process: Whether each run has a process to itself, as on Lambda.
    """
    project, traces = scratch / "project", scratch / "traces"
    for name in ("functions", "layers"):
        shutil.copytree(ROOT / name, project / name, ignore=_WITHOUT_BYTECODE)
    shutil.copytree(_LAYER, project / "layers/agents", ignore=_WITHOUT_BYTECODE, dirs_exist_ok=True)
    template = project / "template.yaml"
    template.write_text(_SHORTEST.sub("MinValue: 1\n", (ROOT / "template.yaml").read_text()))
    (traces / "executing").mkdir(parents=True)
    lines = {"ENDURANCE_FOLDER": str(traces), **variables}
    environment = scratch / "variables.env"
    environment.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
    uncapped = ("--parameter", "MaxRunsPerUser=0", "--parameter", "MaxRunsPerTenant=0")
    command = "tests.endurance.one_run_a_process" if one_run_a_process else "agentrun_local.cli"
    options = ("--env-file", str(environment), *uncapped, *arguments)
    with (
        running_stack(template, scratch, *options, command=command) as stack,
        closing(local_client("dynamodb", stack.dynamodb)) as dynamodb,
    ):
        store = DynamoRunStore(Table(dynamodb, "agentrun-RunsTable"))
        yield EnduranceStack(stack, traces, store)
