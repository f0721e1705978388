"""`agentrun smoke` and the deployment's own model: what it uses, and what to do where it fails."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentrun_local.smoke.outcome import Verdict
from agentrun_local.smoke.target import Door
from tests.bedrock import Text
from tests.e2e.conftest import ROOT, LocalStack, running_stack
from tests.e2e.test_smoke import BRISK, PATIENT, row_of, target_of
from tests.openai_compatible import (
    ChatError,
    ChatReply,
    OpenAiCompatibleServer,
    openai_compatible_server,
)


@pytest.fixture
def on_a_model(tmp_path: Path) -> Iterator[tuple[LocalStack, OpenAiCompatibleServer]]:
    """A local stack whose agents run on a model of another provider."""
    with openai_compatible_server() as server:
        variables = tmp_path / "variables.env"
        lines = (f"{name}={value}" for name, value in server.environment.items())
        variables.write_text("\n".join(lines))
        options = ("--model", "openai:gpt-4o", "--env-file", str(variables))
        with running_stack(ROOT / "template.yaml", tmp_path, *options) as stack:
            yield stack, server


def test_the_deployments_own_model_is_run_and_what_it_used_told(
    on_a_model: tuple[LocalStack, OpenAiCompatibleServer],
) -> None:
    stack, server = on_a_model
    server.always(ChatReply(Text("rea", "dy")))
    target = target_of(stack, PATIENT)
    row = row_of("model", Door.URL, target)
    assert row.outcome.verdict is Verdict.HOLDS, row.outcome.seen
    assert re.fullmatch(
        r"agent analyst: first token \d+\.\d s after START, 37 tokens, .+", row.outcome.seen
    )
    (spent,) = target.spent.values()
    assert spent.tokens == 37

    server.always(ChatError(429))
    row = row_of("model", Door.URL, target)
    assert "errorType MODEL_THROTTLED" in row.outcome.seen
    assert "Service Quotas" in row.remedy


def test_a_run_that_its_model_fails_says_which_remedy(local_stack: LocalStack) -> None:
    target = target_of(local_stack, BRISK, model_agent="echo", model_message="/fail")
    row = row_of("model", Door.URL, target)
    run_id = list(target.spent)[-1]
    assert row.outcome.seen == f"agent echo: FAILED, errorType MODEL_ERROR (run {run_id})"
    assert "Bedrock console" in row.remedy
