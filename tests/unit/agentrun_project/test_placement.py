"""A project runs on this machine with the framework's functions and its own agents."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agentrun_local import reload
from agentrun_local.banner import example
from agentrun_local.machine.identity import DevIdentity
from agentrun_local.stack import StackOptions, stack_parameters
from agentrun_local.template.resources import Function, Stack, read_stack
from agentrun_project.build import ROOT
from agentrun_project.creating import create_project
from agentrun_project.placement import agents_folder, importing_from


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("projects") / "shop"
    create_project(folder)
    return folder


@pytest.fixture(scope="module")
def stack(project: Path) -> Stack:
    options = StackOptions(project / "template.yaml", "demo", None, {})
    return read_stack(options.template, stack_parameters(options, DevIdentity(project)))


def watched(function: Function, template: Path) -> list[Path]:
    pool: Any = SimpleNamespace(function=function)
    return reload._folders(pool, template)


def test_functions_and_layers_are_the_frameworks_and_the_agents_the_projects(
    stack: Stack, project: Path
) -> None:
    function = stack.functions["StreamFunction"]
    assert function.code_dir == ROOT / "functions/stream"
    layers = [ROOT / "layers/core", ROOT / "layers/engine", project, ROOT / "layers/streaming"]
    assert list(function.layer_dirs) == layers
    assert function.exec_wrapper == ROOT / "layers/streaming/bootstrap"


def test_only_agents_and_tools_of_a_project_are_watched(stack: Stack, project: Path) -> None:
    folders = watched(stack.functions["StreamFunction"], project / "template.yaml")
    inside = {folder for folder in folders if folder.is_relative_to(project)}
    assert inside == {project / "agents", project / "tools"}
    authorizer = stack.functions["AuthorizerFunction"]
    assert not any(
        f.is_relative_to(project) for f in watched(authorizer, project / "template.yaml")
    )


def test_the_banner_names_an_agent_that_is_there(project: Path) -> None:
    assert example(project / "template.yaml") == ("helpdesk", "What can you do?")
    assert example(ROOT / "template.yaml") == ("analyst", "What is 17 * 23?")


def test_agents_are_where_they_are_in_a_checkout_or_a_project(project: Path) -> None:
    assert agents_folder(ROOT) == ROOT / "layers/agents/agents"
    assert agents_folder(project) == project / "agents"


def test_modules_of_a_folder_are_found_for_as_long_as_they_are_asked_for(project: Path) -> None:
    before = list(sys.path)
    with importing_from(project):
        assert sys.path == [str(project), *before]
    assert sys.path == before
