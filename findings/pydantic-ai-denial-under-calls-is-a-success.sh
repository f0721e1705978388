#!/usr/bin/env bash
# pydantic-ai: a denial in the wrong one of two dictionaries tells the model that the tool has succeeded.
#
# pydantic-ai-slim 2.66.0: `DeferredToolResults` has `approvals` and `calls`, and takes `ToolDenied` in both.
# Under `approvals` the model gets a result whose outcome is `denied`. Under `calls`, where the results of
# tools that run elsewhere belong, the same object becomes the return value of a call that succeeded: the
# model reads the denial's fields as the tool's data.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder"/venv/bin/pip install --quiet --disable-pip-version-check pydantic-ai-slim==2.66.0
"$folder/venv/bin/python" - <<'PY'
from pydantic_ai import Agent, DeferredToolRequests, DeferredToolResults, ToolDenied
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel


def answer(messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
    if len(messages) == 1:
        return ModelResponse(parts=[ToolCallPart("pay", {}, tool_call_id="c1")])
    return ModelResponse(parts=[TextPart("done")])


agent = Agent(FunctionModel(answer), output_type=[str, DeferredToolRequests])


@agent.tool_plain(requires_approval=True)
def pay() -> str:
    return "paid"


waiting = agent.run_sync("Pay.")
assert isinstance(waiting.output, DeferredToolRequests)
seen = {}
for field in ("approvals", "calls"):
    results = DeferredToolResults(**{field: {"c1": ToolDenied("Not today.")}})
    ended = agent.run_sync(message_history=waiting.all_messages(), deferred_tool_results=results)
    (part,) = (
        part
        for message in ended.new_messages()
        for part in message.parts
        if isinstance(part, ToolReturnPart)
    )
    seen[field] = part.outcome
print("outcome of a denied call, by where the denial stood:", seen)
assert seen == {"approvals": "denied", "calls": "success"}, seen
PY
