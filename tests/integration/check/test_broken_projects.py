"""`agentrun check` names each fault of a project with its file, its line and a remedy."""

from pathlib import Path

import pytest

from tests.integration.check.projects import ROOM, SAM, SETTINGS, Found, checked, project

MISSPELT = '\n[a.deploy.parameters]\nparameter_overrides = ["Modle=demo"]\n'
REFUSED = SETTINGS.replace('"LogRetentionDays=7"', '"LogRetentionDays=8"')
BROKEN: dict[str, tuple[dict[str, str], str, str, str, str]] = {
    "a typo in a field": (
        {"agents/typo.yaml": "name: A\ndescription: B\ninstrucitons: C\n"},
        "layers/agents/agents/typo.yaml:3",
        "error",
        "there is no such field",
        "Rename it to instructions.",
    ),
    "a file that is not YAML": (
        {"agents/colon.yaml": "name: A\ndescription: one: two\n"},
        "layers/agents/agents/colon.yaml:2",
        "error",
        "is not YAML",
        "Mend the line",
    ),
    "a function that is not there": (
        {"agents/gone.yaml": "name: A\ndescription: B\ntools: [tools.greetings:wave]\n"},
        "layers/agents/agents/gone.yaml:3",
        "error",
        "defines no function 'wave'",
        "Name a function that the module defines.",
    ),
    "a package that is not installed": (
        {
            "agents/missing.yaml": "name: A\ndescription: B\ntools: [tools.missing:look]\n",
            "tools/missing.py": 'import not_a_package\n\ndef look() -> str:\n    """Look."""\n',
        },
        "layers/agents/tools/missing.py:1",
        "error",
        "imports 'not_a_package', which is not installed",
        "to layers/agents/requirements.txt and run `make lock`",
    ),
    "a package that only the laptop has": (
        {
            "agents/laptop.yaml": "name: A\ndescription: B\ntools: [tools.laptop:see]\n",
            "tools/laptop.py": '"""Look."""\n\nimport hypothesis\n\ndef see() -> str:\n    "L."\n',
        },
        "layers/agents/tools/laptop.py:3",
        "error",
        "imports 'hypothesis', which is installed here but is in no layer",
        "Add 'hypothesis' to layers/agents/requirements.txt",
    ),
    "a module that the runtime's Python no longer has": (
        {
            "agents/old.yaml": "name: A\ndescription: B\ntools: [tools.old:look]\n",
            "tools/old.py": 'import telnetlib\n\ndef look() -> str:\n    """Look."""\n',
        },
        "layers/agents/tools/old.py:1",
        "error",
        "Python 3.13 no longer has",
        "Use another module",
    ),
    "a requirement that is not locked": (
        {"requirements.txt": "python-dateutil>=2.9\npython-slugify>=8\n"},
        "layers/agents/requirements.txt:2",
        "error",
        "'python-slugify' is not in requirements/agents.txt",
        "Run `make lock`.",
    ),
    "a wrong annotation": (
        {
            "agents/note.yaml": "name: A\ndescription: B\ntools: [tools.note:look]\n",
            "tools/note.py": '"""N."""\n\ndef look(at: "Plase") -> str:\n    """Look."""\n',
        },
        "layers/agents/tools/note.py:3",
        "error",
        "name 'Plase' is not defined",
        "Mend the module",
    ),
    "a provider that nobody knows": (
        {"agents/provider.yaml": "name: A\ndescription: B\nmodel: bedrok:amazon.nova-lite-v1:0\n"},
        "layers/agents/agents/provider.yaml:3",
        "error",
        "no provider is called 'bedrok'",
        "Did you mean bedrock:amazon.nova-lite-v1:0?",
    ),
    "a model that nobody knows": (
        {"agents/model.yaml": "name: A\ndescription: B\nmodel: bedrock:amazon.nova-light-v1:0\n"},
        "layers/agents/agents/model.yaml:3",
        "warning",
        "knows no model 'amazon.nova-light-v1:0' of bedrock",
        "Did you mean amazon.nova-lite-v1:0?",
    ),
    "a secret that nothing sets": (
        {
            "agents/secret.yaml": "name: A\ndescription: B\nmcp:\n  - url: https://mcp.example\n"
            "    tools: [look]\n    headers: {Authorization: 'Bearer ${LOOK_TOKEN}'}\n",
        },
        "layers/agents/agents/secret.yaml:6",
        "warning",
        "needs the variable LOOK_TOKEN",
        "set SecretsArn in samconfig.toml",
    ),
    "a secret of an endpoint that nothing sets": (
        {
            "agents/endpoint.yaml": "name: A\ndescription: B\nendpoint:\n"
            "  openai: https://models.example/v1\n  model: m\n  secret: ENDPOINT_KEY\n",
        },
        "layers/agents/agents/endpoint.yaml:6",
        "warning",
        "needs the variable ENDPOINT_KEY",
        "set SecretsArn in samconfig.toml",
    ),
    "an agent's object that is not there": (
        {
            "agents/object.yaml": "name: A\ndescription: B\nagent: tools.greetings:agent\n",
        },
        "layers/agents/agents/object.yaml:3",
        "error",
        "agent",
        "",
    ),
    "an AWS service without its description": (
        {"tools/mail.py": 'import boto3\n\nMAIL = boto3.client("ses")\n'},
        "layers/agents/tools/mail.py:3",
        "error",
        "uses the AWS service 'ses'",
        "BOTOCORE_SERVICES",
    ),
    "a parameter that the template does not have": (
        {"samconfig.toml": REFUSED + MISSPELT},
        f"samconfig.toml:{len(SETTINGS.splitlines()) + 3}",
        "error",
        "[a] the template has no parameter Modle",
        "Did you mean Model?",
    ),
    "a value that the template refuses": (
        {"samconfig.toml": REFUSED + MISSPELT},
        f"samconfig.toml:{REFUSED[: REFUSED.index('LogRetentionDays=8')].count(chr(10)) + 1}",
        "error",
        "[dev] The parameter LogRetentionDays=8",
        "Set another value",
    ),
}
"""What is written, where the fault is, how bad it is, what is said, and what to do."""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Found]:
    """Check one project that has all of these faults."""
    files: dict[str, str] = {}
    for written, *_ in BROKEN.values():
        files |= {path if path == SAM else f"{ROOM}/{path}": text for path, text in written.items()}
    return checked(project(tmp_path_factory.mktemp("broken"), files))


@pytest.mark.parametrize("name", BROKEN)
def test_each_fault_is_named_with_its_place_and_a_remedy(
    name: str, found: tuple[int, Found]
) -> None:
    _, place, severity, said, remedy = BROKEN[name]
    (fault,) = [fault for fault in found[1] if fault["place"] == place]
    assert fault["severity"] == severity
    assert said in fault["said"]
    assert remedy in fault["remedy"]


def test_nothing_else_is_found_and_the_status_is_1(
    found: tuple[int, Found],
) -> None:
    assert (found[0], len(found[1])) == (1, len(BROKEN))


def test_a_good_project_passes(tmp_path: Path) -> None:
    assert checked(project(tmp_path, {})) == (0, [])


def test_a_warning_fails_only_if_told_to(tmp_path: Path) -> None:
    written, *_ = BROKEN["a model that nobody knows"]
    template = project(tmp_path, {f"{ROOM}/{path}": text for path, text in written.items()})
    assert [checked(template, is_strict=strict)[0] for strict in (False, True)] == [0, 1]
