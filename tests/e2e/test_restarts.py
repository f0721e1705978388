"""`agentrun dev --persist`: runs outlive the stack, however it ends."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, LocalStack, running_stack, wait_until


@contextmanager
def killed_stack(template: Path, scratch: Path) -> Iterator[LocalStack]:
    """Run a stack that keeps its state, and kill it at the end."""
    scratch.mkdir()
    # Long enough to be killed in the middle of a run.
    (scratch / "variables.env").write_text("AGENTRUN_DEMO_DELAY_MS=100\n")
    options = ("--persist", "--env-file", str(scratch / "variables.env"))
    with running_stack(template, scratch, *options) as stack:
        yield stack
        stack.process.send_signal(signal.SIGKILL)
        stack.process.wait()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return this project's template in a folder that has a state of its own."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("functions", "layers"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "template.yaml").write_text((ROOT / "template.yaml").read_text(encoding="utf-8"))
    return folder / "template.yaml"


def test_runs_and_conversations_are_there_again_and_a_run_under_way_is_finished(
    template: Path, tmp_path: Path
) -> None:
    with killed_stack(template, tmp_path / "first") as stack, stack.client() as client:
        ended = client.post("/api/agents/echo/runs", json={"message": "before"}).json()
        path = f"/api/agents/echo/runs/{ended['runId']}"
        replay = client.get(f"{path}/stream").text
        order = {"message": "/emit 60"}
        queued = client.post("/api/agents/echo/runs/background", json=order).json()
        under_way = f"/api/v1/runs/{queued['runId']}"
        wait_until(lambda: client.get(under_way).json()["status"] == "RUNNING", "it has begun")
        token = client.headers["authorization"]
    with killed_stack(template, tmp_path / "second") as stack, stack.client() as client:
        # The key pair is kept as well.
        client.headers["authorization"] = token
        assert client.get(path).json()["output"] == "before"
        assert client.get(f"{path}/stream").text == replay
        again = {"message": "and after", "sessionId": ended["sessionId"]}
        assert client.post("/api/agents/echo/runs", json=again).json()["content"] == "and after"
        wait_until(
            lambda: client.get(under_way).json()["status"] == "COMPLETED",
            "another worker has taken it over",
            within_s=60,
        )
        assert client.get(under_way).json()["output"].split()[-1] == "60"


def test_without_the_option_nothing_is_left(template: Path, tmp_path: Path) -> None:
    with running_stack(template, tmp_path) as stack, stack.client() as client:
        assert client.get("/api/v1/runs").json()["content"] == []
