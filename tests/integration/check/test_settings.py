"""Faults of the template and of `samconfig.toml` are placed where they are written."""

from pathlib import Path

import pytest

from agentrun_local.check.parameters import check_parameters
from agentrun_local.check.project import Project
from agentrun_local.check.secrets import check_secrets
from agentrun_local.check.services import check_services
from tests.documented import ROOT
from tests.integration.check.projects import LOCKS, ROOM, project

BETWEEN = """
# LogRetentionDays=8 would be refused.
[prod.deploy.parameters]
parameter_overrides = ["LogRetentionDays=7"]

[staging.deploy.parameters]
# Not LogRetentionDays=8.
stack_name = "shop"
parameter_overrides = [
  "NoLogRetentionDays=8",
  "LogRetentionDays=8",
]

[table.deploy.parameters]
parameter_overrides = { Modle = "demo" }

["quoted".deploy.parameters]
parameter_overrides = "ParameterKey=Modell,ParameterValue=demo"
"""


def written(folder: Path, files: dict[str, str]) -> Project:
    return Project.beside(project(folder, files), folder / LOCKS)


def test_a_parameter_is_placed_in_the_environment_that_sets_it(tmp_path: Path) -> None:
    found = check_parameters(written(tmp_path, {"samconfig.toml": BETWEEN}))
    places = {(fault.said.partition("]")[0][1:], fault.line) for fault in found}
    # The line that is refused, and the one with a name that only ends like it.
    assert places == {("staging", 10), ("staging", 11), ("table", 15), ("quoted", 18)}


def test_a_template_that_is_not_yaml_is_told_in_one_line_with_its_place(tmp_path: Path) -> None:
    found = written(tmp_path, {"template.yaml": "Resources:\n  A: [\n"})
    (fault,) = check_parameters(found)
    assert (fault.path, fault.line) == (tmp_path / "template.yaml", 3)
    assert fault.said.startswith("is not YAML")
    assert "\n" not in fault.said
    assert "line" not in fault.said
    assert "template.yaml" not in fault.said


@pytest.mark.parametrize(("variables", "missing"), [("X_KEY: a\n      # KEY:", 1), ("KEY: a", 0)])
def test_only_a_variable_of_the_template_sets_what_an_agent_needs(
    tmp_path: Path, variables: str, missing: int
) -> None:
    template = f"Globals:\n  Function:\n    Environment:\n     Variables:\n      {variables}\n"
    agent = (
        "name: A\ndescription: B\nendpoint: {openai: 'https://a.example', model: m, secret: KEY}"
    )
    files = {
        "template.yaml": f"{template}Outputs: {{KEY: {{Value: a}}}}\nResources: {{}}\n",
        f"{ROOM}/agents/remote.yaml": agent,
    }
    assert len(list(check_secrets(written(tmp_path, files), {}))) == missing


def test_a_project_of_ones_own_brings_the_description_of_a_service(tmp_path: Path) -> None:
    tool = 'import boto3\n\nMAIL = boto3.client("ses")\n'
    template = project(tmp_path, {f"{ROOM}/tools/mail.py": tool})
    own = Project(template, tmp_path / ROOM, ROOT / LOCKS)
    (fault,) = check_services(own)
    assert "AWS_DATA_PATH" in fault.remedy
    assert "agentrun_project" not in fault.remedy
    described = own.tools / "aws/ses/2010-12-01/service-2.json"
    described.parent.mkdir(parents=True)
    described.touch()
    (fault,) = check_services(own)
    assert fault.is_warning
    assert "roles allow nothing" in fault.said
