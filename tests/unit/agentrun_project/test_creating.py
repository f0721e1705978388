"""What `agentrun init` writes, and where it refuses to."""

import json
from pathlib import Path

import pytest
import yaml

import tools
from agent_catalog import load_catalog
from agentrun_local.cli import main
from agentrun_local.template.cloudformation import load_resources
from agentrun_project.build import ROOT, part_named
from agentrun_project.creating import create_project
from agentrun_project.errors import ProjectError
from agentrun_project.placement import source_folder
from agentrun_project.rendering import framework_version, placed_resources

TEMPLATE = (ROOT / "template.yaml").read_text(encoding="utf-8")
PARAMETERS = {"Issuer": "https://issuer.example", "Audience": "agents"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    create_project(tmp_path / "Shop 2")
    return tmp_path / "Shop 2"


def test_it_says_what_to_type_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path / "a shop"), "--name", "shop"]) == 0
    assert capsys.readouterr().out == f"cd '{tmp_path}/a shop'\nmake dev\n"
    settings = (tmp_path / "a shop/samconfig.toml").read_text(encoding="utf-8")
    assert 'stack_name = "shop"' in settings


def test_in_the_folder_itself_there_is_nowhere_to_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", ".", "--name", "shop"]) == 0
    assert capsys.readouterr().out == "make dev\nmake test\n"


def test_the_projects_name_is_the_folders_made_to_fit(project: Path) -> None:
    named = (project / "pyproject.toml").read_text(encoding="utf-8")
    assert 'name = "shop-2"' in named
    assert f'"agentrun-serverless[project]=={framework_version()}"' in named


def test_no_placeholder_is_left(project: Path) -> None:
    files = [path for path in project.rglob("*") if path.is_file()]
    assert len(files) > 15
    assert [
        path for path in files if "@NAME@" in path.read_text() or "@VERSION@" in path.read_text()
    ] == []


def test_a_folder_that_has_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ProjectError, match=r"not empty, it has notes\.txt"):
        create_project(tmp_path, "shop")
    assert {path.name for path in tmp_path.iterdir()} == {".git", "notes.txt"}
    (tmp_path / "notes.txt").unlink()
    create_project(tmp_path, "shop")
    assert (tmp_path / "template.yaml").is_file()


@pytest.mark.parametrize("name", ["9lives", "-", "ünï", "a" * 49])
def test_a_name_that_no_stack_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ProjectError, match="cannot be the name of a project"):
        create_project(tmp_path / "new", name)
    assert not (tmp_path / "new").exists()


def test_the_template_is_the_frameworks_but_for_the_folders(project: Path) -> None:
    lines = (project / "template.yaml").read_text(encoding="utf-8").splitlines()
    different = [
        line.split(": ")[1]
        for line, shipped in zip(lines, TEMPLATE.splitlines(), strict=True)
        if line != shipped
    ]
    assert different == [".framework/build"] * 12


def test_what_the_build_makes_of_a_resource_is_what_the_frameworks_template_says() -> None:
    placed = placed_resources(TEMPLATE)
    assert len(placed) == 12
    for resource, folder in placed.items():
        kind, name = part_named(resource)
        assert f"{kind}s/{name}" == folder


def test_a_resource_of_the_users_own_is_not_the_frameworks(project: Path) -> None:
    assert source_folder(project, "Mine", "mine/function") == project / "mine/function"
    with pytest.raises(ValueError, match="the framework has no Mine"):
        source_folder(project, "Mine", ".framework/build")


def test_the_translated_template_names_the_build_folder_everywhere(project: Path) -> None:
    resources = load_resources(project / "template.yaml", PARAMETERS)
    functions = [r for r in resources.values() if r.type == "AWS::Lambda::Function"]
    assert {r.properties["Code"]["S3Key"] for r in functions} == {".framework/build"}


def test_the_agents_are_valid_and_the_events_name_one(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "__path__", [str(project / "tools")])
    agents = {agent.id: agent for agent in load_catalog("demo", project / "agents").agents()}
    assert set(agents) == {"echo", "helpdesk"}
    assert [tool.requires_approval for tool in agents["helpdesk"].tools] == [True]
    event = json.loads((project / "events/stream-run.json").read_text(encoding="utf-8"))
    assert event["rawPath"] == "/api/agents/helpdesk/runs/stream"
    assert int(event["headers"]["content-length"]) == len(event["body"])


def test_the_workflow_runs_targets_that_the_makefile_has(project: Path) -> None:
    workflow = yaml.safe_load((project / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    steps = [step["run"] for step in workflow["jobs"]["check"]["steps"] if "run" in step]
    makefile = (project / "Makefile").read_text(encoding="utf-8")
    assert [step for step in steps if step.startswith("make")] == [
        "make test",
        "make check",
        "make build",
    ]
    for step in steps[:3]:
        assert f"\n.PHONY: {step.removeprefix('make ')}\n" in makefile
