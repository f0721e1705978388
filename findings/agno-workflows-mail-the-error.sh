#!/usr/bin/env bash
# agno 3.1.10: if the model's provider refuses a call, `Agent.run` raises nothing, and the provider's
# message takes the place of the answer.
#
# - `run` returns an output whose `content` is the text of the error; only its `status` tells it from an
#   answer. openai's own client raises BadRequestError for the same response.
# - A workflow does not look at that status either: the next step gets the error as the content of the
#   step before, runs, and the workflow's status is `completed`. Here a mail goes out that says "Your
#   credit balance is too low".
# - A step that raises is likewise passed over; the mail then says "Step skipped due to error: …".
# `human_review=HumanReview(on_error=OnError.fail)` on the step stops the workflow in both cases, though
# nobody reviews anything. It is off by default.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder"/venv/bin/pip install --quiet --disable-pip-version-check agno==3.1.10 openai==3.57.0
"$folder/venv/bin/python" - <<'PY'
import io
import json
import logging
import threading
from contextlib import redirect_stderr
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from agno.agent import Agent
from agno.models.openai import OpenAIChat
from agno.workflow import Step, StepInput, StepOutput, Workflow
from agno.workflow.types import HumanReview, OnError
from openai import BadRequestError, OpenAI

logging.disable()
ERROR = {"error": {"message": "Your credit balance is too low", "type": "invalid_request_error"}}


class Provider(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = json.dumps(ERROR).encode()
        self.send_response(400)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
mails: list[object] = []


URL = f"http://127.0.0.1:{server.server_port}/v1"
STOPS = {"human_review": HumanReview(on_error=OnError.fail)}


def agent() -> Agent:
    return Agent(model=OpenAIChat(id="m", base_url=URL, api_key="x"), telemetry=False)


def mail(step: StepInput) -> StepOutput:
    mails.append(step.previous_step_content)
    return StepOutput(content="sent")


def fail(_: StepInput) -> StepOutput:
    raise RuntimeError("no answer")


def run(write: object) -> tuple[str, object, list[object]]:
    """Run a workflow that writes a text and mails it; return its status, its content and the mails."""
    mails.clear()
    steps = [Step(name="write", **write), Step(name="mail", executor=mail)]
    workflow = Workflow(name="newsletter", steps=steps)
    try:
        with redirect_stderr(io.StringIO()):  # agno prints a traceback of what it then raises.
            result = workflow.run(input="Write to our customers.")
    except RuntimeError as error:
        return type(error).__name__, str(error), list(mails)
    return result.status.name, result.content, list(mails)


answer = agent().run("Write to our customers.")
seen = {
    "agent": (answer.status.name, answer.content),
    "workflow": run({"agent": agent()}),
    "workflow, told to fail": run({"agent": agent()} | STOPS),
    "workflow of a step that raises": run({"executor": fail}),
    "workflow of a step that raises, told to fail": run({"executor": fail} | STOPS),
}
for name, facts in seen.items():
    print(f"{name}: {facts}")
TOO_LOW = ERROR["error"]["message"]
assert seen == {
    "agent": ("error", TOO_LOW),
    "workflow": ("completed", "sent", [TOO_LOW]),
    "workflow, told to fail": ("RuntimeError", TOO_LOW, []),
    "workflow of a step that raises": ("completed", "sent", ["Step skipped due to error: no answer"]),
    "workflow of a step that raises, told to fail": ("RuntimeError", "no answer", []),
}
try:
    OpenAI(base_url=URL, api_key="x").chat.completions.create(model="m", messages=[])
except BadRequestError as error:
    print("openai:", type(error).__name__)
else:
    raise AssertionError("openai did not raise")
PY
