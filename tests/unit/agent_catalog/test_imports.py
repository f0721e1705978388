"""What is not loaded before it is needed: cold starts wait for every import."""

import subprocess
import sys

import pytest

FRAMEWORK = {"pydantic_ai", "httpx2", "boto3"}
REFUSED_URL = """
import asyncio
from agent_catalog.media.loader import UrlMediaLoader
from agentrun.domain.errors import InvalidRequestError
try: asyncio.run(UrlMediaLoader().load({'media.0.data': 'ftp://files.example/'}))
except InvalidRequestError: pass
"""


@pytest.mark.parametrize(
    ("program", "absent"),
    [
        (
            "import agent_catalog; agent_catalog.load_catalog('demo')",
            {*FRAMEWORK, "genai_prices", "pint", "simpleeval", "dateutil", "tools.calculator"},
        ),
        ("import agent_catalog.transcript", FRAMEWORK),
        ("import agent_catalog.mcp.entry", {*FRAMEWORK, "agent_catalog.mcp.client"}),
        (
            "import agent_catalog.running.engine",
            {"boto3", "openai", "pydantic_ai.models.bedrock"},
        ),
        (REFUSED_URL, FRAMEWORK),
        ("import tools.units", {"pint"}),
    ],
)
def test_what_a_program_does_not_need_is_not_loaded(program: str, absent: set[str]) -> None:
    script = f"{program}\nimport sys\nprint(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", script], text=True).split()
    assert absent.isdisjoint(loaded)
