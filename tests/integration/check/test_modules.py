"""`agentrun check` survives what tools' modules do, and finds what is wrong in those unnamed."""

import pytest

from agentrun_local.check import tools
from tests.integration.check.projects import ROOM, Found, checked, project

LIMIT_S = 10.0
FUNCTION = 'def act() -> str:\n    """Act."""\n    return ""\n'
NAMED = {
    "bye": f'import atexit\n\natexit.register(print, "bye")\nprint("half", end="")\n\n{FUNCTION}',
    "exits": f"import sys\n\n{FUNCTION}\n\nsys.exit(0)\n",
    "needs": 'import sys\n\nsys.exit("no config")\n',
    "ends": f"import os\n\n{FUNCTION}\nos._exit(3)\n",
    "hangs": f"from threading import Event\n\n{FUNCTION}\nwhile True:\n    try:\n"
    "        Event().wait()\n    except Exception:\n        pass\n",
    "waits": f"def go() -> None:\n    import hypothesis\n\n{FUNCTION}",
}
UNNAMED = {
    "unused": "def (:\n",
    "returns": "return 1\n",
    "lazily": """
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import hypothesis

try:
    import coverage
except ImportError:
    with suppress(ImportError):
        import coverage.cmdline


def go() -> None:
    from not_a_package import nothing
""",
    "hub": """
import boto3
from boto3 import client as resource

HUB, mcp = make()
HUB.client("warehouse")
SESSION = boto3.Session()


@mcp.resource("data://numbers")
def numbers() -> None:
    SESSION.client("sns")
    boto3.client("sess")
    resource(service_name="ssm")


class Mail:
    def send(self) -> None:
        self.session.client("ses")
""",
    "secrets": """
from agent_catalog import toolkit
from agent_catalog.toolkit import variable as read

KEY, OTHER = toolkit.variable("TOOLKIT_KEY"), read("READ_KEY")
SETTINGS.variable("NO_KEY")
""",
    "made": """
from pydantic_ai import Agent

PROMPTED = Agent(system_prompt="Be kind.")
""",
    "other": """
from pydantic_ai import Agent

AGENT = Agent("openai:gpt-4o", output_type=int)
""",
    "drawn": "from langgraph.graph import StateGraph\n\nGRAPH = StateGraph(dict)\n",
}
AGENTS = {
    **{name: f"tools: [tools.{name}:act]" for name in NAMED},
    "then": "tools: [tools.hangs:act]",
    "made": "agent: tools.made:PROMPTED",
    "other": "agent: tools.other:AGENT",
    "drawn": "graph: tools.drawn:GRAPH",
}
EXPECTED = [
    ("tools/exits.py:8", "error", "ends the process", "SystemExit(0)", "__main__"),
    ("tools/needs.py:3", "error", "ends the process", "SystemExit('no config')", "__main__"),
    ("agents/needs.yaml:3", "error", "defines no function 'act'", "", "Name a function"),
    ("tools/ends.py", "error", "ends the process", "exit status 3", "__main__"),
    ("tools/hangs.py:9", "error", "does not end within 10 s", "", "in a function"),
    ("tools/waits.py:2", "warning", "imports 'hypothesis'", "in no layer", "Add 'hypothesis'"),
    ("tools/unused.py:1", "error", "invalid syntax", "", "Mend the module"),
    ("tools/returns.py:1", "error", "'return' outside function", "", "Mend the module"),
    ("tools/lazily.py:14", "warning", "imports 'not_a_package'", "not installed", "Add the"),
    ("tools/hub.py:11", "error", "uses the AWS service 'sns'", "", "BOTOCORE_SERVICES"),
    ("tools/hub.py:12", "error", "boto3 has no service 'sess'", "", "Did you mean 'ses'?"),
    ("tools/hub.py:13", "warning", "uses the AWS service 'ssm'", "roles allow", "Add a statement"),
    ("tools/hub.py:18", "error", "uses the AWS service 'ses'", "", "BOTOCORE_SERVICES"),
    ("tools/secrets.py:4", "warning", "needs the variable READ_KEY", "", "SecretsArn"),
    ("tools/secrets.py:4", "warning", "needs the variable TOOLKIT_KEY", "", "SecretsArn"),
    ("tools/made.py:3", "error", "system_prompt: is kept", "use instructions", "Mend the module"),
    ("tools/other.py:3", "error", "imports 'openai'", "other providers", "OtherProviders=true"),
    ("tools/drawn.py:1", "error", "imports 'langgraph", "in no layer", "Add 'langgraph>=1.2'"),
]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Check one project that has all of these modules."""
    written = {**NAMED, **UNNAMED}
    files = {f"{ROOM}/tools/{name}.py": text.lstrip("\n") for name, text in written.items()}
    for name, text in AGENTS.items():
        files[f"{ROOM}/agents/{name}.yaml"] = f"name: A\ndescription: B\n{text}\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tools, "LIMIT_S", LIMIT_S)
        return checked(project(tmp_path_factory.mktemp("modules"), files))[1]


@pytest.mark.parametrize("expected", EXPECTED, ids=lambda expected: f"{expected[0]} {expected[2]}")
def test_a_fault_of_a_module_is_named_with_its_place(
    expected: tuple[str, ...], found: Found
) -> None:
    place, severity, *said, remedy = expected
    faults = [
        fault
        for fault in found
        if fault["place"] == f"{ROOM}/{place}" and all(words in fault["said"] for words in said)
    ]
    assert [fault["severity"] for fault in faults] == [severity]
    assert remedy in faults[0]["remedy"]


def test_no_other_fault_is_found(found: Found) -> None:
    assert len(found) == len(EXPECTED), [fault["place"] for fault in found]
