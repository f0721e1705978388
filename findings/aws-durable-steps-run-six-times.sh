#!/usr/bin/env bash
# aws-durable-execution-sdk-python 3.0.0, run by its local runner (…-testing 1.4.0): steps that fail.
#
# - A step without a configuration is run again whatever it raised, six times in all. A payment that
#   raises ValueError when it has been made is made six times. One would expect to ask for that.
#   `StepConfig(retry_strategy=RetryPresets.none())` runs it once. `AT_MOST_ONCE_PER_RETRY` limits each
#   attempt, not their number: six again.
# - What the step raised does not reach the caller, who gets StepError. It is no ValueError, so an
#   `except ValueError` that should undo the step is passed by, and the execution fails.
# - `context.map` with one item that fails raises nothing: `get_results()` has the results of the others
#   without a gap, and those that had not begun are missing too. Only `throw_if_error()` raises.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder"/venv/bin/pip install --quiet --disable-pip-version-check aws-durable-execution-sdk-python==3.0.0 aws-durable-execution-sdk-python-testing==1.4.0
"$folder/venv/bin/python" - <<'PY'
import logging

from aws_durable_execution_sdk_python.config import MapConfig, StepConfig, StepSemantics
from aws_durable_execution_sdk_python.context import DurableContext
from aws_durable_execution_sdk_python.execution import durable_execution
from aws_durable_execution_sdk_python.retries import RetryPresets
from aws_durable_execution_sdk_python_testing.runner import DurableFunctionTestRunner

logging.disable()
payments: list[int] = []
CONFIGS = {
    "default": None,
    "no retry": StepConfig(retry_strategy=RetryPresets.none()),
    "at most once": StepConfig(step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY),
}


def pay(_: object) -> None:
    payments.append(1000)
    raise ValueError("the bank's answer has no number")


@durable_execution
def compensates(event: str, context: DurableContext) -> str:
    try:
        context.step(pay, name="pay", config=CONFIGS[event])
    except ValueError:
        return "compensated"
    return "paid"


@durable_execution
def doubles(event: str, context: DurableContext) -> list:
    def double(ctx: DurableContext, item: int, index: int, items: list) -> int:
        if item == 2:
            raise ValueError(item)
        return 2 * item

    batch = context.map([1, 2, 3], double, name="double", config=MapConfig(max_concurrency=1))
    if event == "checked":
        batch.throw_if_error()
    return batch.get_results()


def run(handler, event: str) -> tuple[str, object]:
    with DurableFunctionTestRunner(handler=handler) as runner:
        result = runner.run(input=event, execution_timeout=300)
    return result.status.name, result.error.type.rpartition(".")[2] if result.error else result.result


seen = {}
for name in CONFIGS:
    payments.clear()
    seen[name] = (*run(compensates, name), len(payments))
    print(f"{name}: (status, error, payments) = {seen[name]}")
for name in ("map", "checked"):
    seen[name] = run(doubles, name)
    print(f"{name}: results for 1, 2, 3, of which 2 fails: {seen[name]}")
assert seen == {
    "default": ("FAILED", "StepError", 6),
    "no retry": ("FAILED", "StepError", 1),
    "at most once": ("FAILED", "StepError", 6),
    "map": ("SUCCEEDED", "[2]"),
    "checked": ("FAILED", "ChildContextError"),
}
PY
