"""What `agentrun dev` prints once everything is up: addresses, and what to try."""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from agentrun_local.commands.options import DEFAULT_TEMPLATE
from agentrun_project.placement import agents_folder

_BANNER = """
  Playground    {rest_api}/
  REST API      {rest_api}
  Function URL  {function_url}
  DynamoDB      {dynamodb}
  SQS and S3    {queues}

Paste this into another terminal:

TOKEN={token}
curl -siN {rest_api}/api/agents/{agent}/runs/stream \\
  -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \\
  -d '{{"message": "{message}"}}' | tee /tmp/run.txt

Then ask how it ended:

RUN_ID=$(tr -d '\\r' < /tmp/run.txt | sed -n 's/^x-run-id: //p')
curl "{rest_api}/api/agents/{agent}/runs/$RUN_ID/status" -H "Authorization: Bearer $TOKEN"

Or talk with it; commands in this folder find this stack, whatever its ports:

{command} chat {agent}{option}

More tokens: {command} token --help. Ctrl-C ends everything.
"""


def banner(facts: Mapping[str, str], template: Path) -> str:
    """Return the text for a stack's addresses and a token."""
    agent, message = example(template)
    is_found = template.resolve() == DEFAULT_TEMPLATE.resolve()
    option = "" if is_found else f" --template {template}"
    command = this_command()
    return _BANNER.format(**facts, agent=agent, message=message, command=command, option=option)


def this_command() -> str:
    """Return how this environment's `agentrun` is called from the current folder."""
    # Not resolved: what is behind a virtual environment's Python has no `agentrun` beside it.
    ours = Path(sys.executable).with_name("agentrun")
    on_path = shutil.which("agentrun")
    if not ours.exists() or (on_path is not None and ours.samefile(on_path)):
        return "agentrun"
    here = Path.cwd()
    return str(ours.relative_to(here) if ours.is_relative_to(here) else ours)


def example(template: Path) -> tuple[str, str]:
    """Return an agent of the project, and something to say to it."""
    folder = agents_folder(template.resolve().parent)
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    if "analyst" in names or not names:
        return "analyst", "What is 17 * 23?"
    # The one that repeats what it is told is there for tests.
    return next((name for name in names if name != "echo"), names[0]), "What can you do?"
