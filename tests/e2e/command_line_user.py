"""Somebody at the command line: their environment, and what they type."""

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentrun_local.cli import main
from tests.e2e.conftest import LocalStack

AGENTRUN = [sys.executable, "-m", "agentrun_local.cli"]
ORDER = "Buy 1 share of AMZN"


@dataclass(frozen=True)
class User:
    """Somebody at the command line, in an organisation of their own."""

    stack: LocalStack
    name: str
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "AGENTRUN_BASE_URL": self.stack.rest_api,
            "AGENTRUN_TOKEN": self.stack.token(user=self.name, org=self.name, roles=["admin"]),
        }

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [*AGENTRUN, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def does(self, *arguments: str, typed: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*AGENTRUN, *arguments],
            env=self.environment,
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        """Run a command with `--json` in this process, which is faster; read its document."""
        return json.loads(self._out(*arguments))

    def lines(self, *arguments: str) -> list[Any]:
        """Run a command with `--json` in this process; read its lines."""
        return [json.loads(line) for line in self._out(*arguments).splitlines()]

    def _out(self, *arguments: str) -> str:
        said = io.StringIO()
        with redirect_stdout(said):
            assert main([*arguments, "--json"]) == 0
        return said.getvalue()

    def status(self, run_id: str) -> str:
        with self.stack.client(user=self.name, org=self.name, roles=["admin"]) as client:
            status: str = client.get(f"/api/v1/runs/{run_id}").json()["status"]
            return status

    def paused(self) -> str:
        """Start a run that waits for an approval, and return its id."""
        done = self.does("run", "finance_agent", ORDER, "--json")
        assert done.returncode == 3, done.stderr
        run_id: str = json.loads(done.stdout)["runId"]
        return run_id

    def newest(self) -> str:
        with self.stack.client(user=self.name, org=self.name, roles=["admin"]) as client:
            run_id: str = client.get("/api/v1/runs?size=1").json()["content"][0]["id"]
            return run_id
