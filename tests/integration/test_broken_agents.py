"""A broken agent's file takes down its own agent, in both functions, and no other."""

import json
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.integration.conftest import AppModule, Bearer
from tests.integration.gateway import Gateway

SYNTAX_ERROR = "def forecast(:\n"
FILES = {
    "echo.yaml": "name: Echo\ndescription: Repeats.\nmodel: demo\n",
    "broken.yaml": "name: B\ndescription: C\ncolour: red\n",
    "weather.yaml": "name: W\ndescription: D\ntools: ['broken_tool:forecast']\n",
    "weatherman.yml": "name: W\ndescription: D\n",
}
BROKEN = ["broken", "weather", "weatherman"]


@pytest.fixture(autouse=True)
def agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put these agents in the place of the project's own."""
    folder = tmp_path / "agents"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    (tmp_path / "broken_tool.py").write_text(SYNTAX_ERROR)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.fixture
def stream(app_module: AppModule) -> TestClient:
    return TestClient(app_module("stream").app, raise_server_exceptions=False)


@pytest.fixture
def status(app_module: AppModule) -> Gateway:
    return Gateway(app_module("status").handler)


@pytest.mark.parametrize("agent", BROKEN)
@pytest.mark.parametrize("form", ["", "/stream"])
def test_a_run_of_a_broken_agent_is_refused_by_name_and_nothing_internal(
    stream: TestClient, bearer: Bearer, agent: str, form: str
) -> None:
    path = f"/api/agents/{agent}/runs{form}"
    answer = stream.post(path, json={"message": "hi"}, headers=bearer())
    assert answer.status_code == 500
    assert answer.json() == {
        "type": "urn:problem-type:internal-error",
        "title": "Internal error",
        "status": 500,
        "detail": f"The agent '{agent}' cannot be run: its definition is broken.",
        "instance": path,
    }


def test_the_other_agents_work(stream: TestClient, bearer: Bearer) -> None:
    answer = stream.post("/api/agents/echo/runs", json={"message": "hi"}, headers=bearer())
    assert answer.status_code == 200


def test_broken_agents_are_listed_as_inactive(status: Gateway) -> None:
    _, usable = status.get("/api/agents")
    assert [agent["id"] for agent in usable] == ["echo"]
    _, every = status.get("/api/agents", includeInactive=["true"])
    assert {agent["id"]: agent["active"] for agent in every} == {
        "echo": True,
        **dict.fromkeys(BROKEN, False),
    }
    answered, one = status.get("/api/agents/weather")
    assert (answered, one["active"], one["name"]) == (200, False, "weather")
    assert one["description"] == "This agent cannot be run: its definition is broken."
    assert "broken_tool" not in json.dumps(every)
