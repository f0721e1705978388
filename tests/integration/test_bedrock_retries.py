"""What Bedrock is asked again, and what a run that broke off says of itself."""

import threading
import time
from pathlib import Path

import boto3
import pytest

from agentrun.domain.events import ContentDelta
from tests.bedrock import (
    BedrockServer,
    Cut,
    Hold,
    HttpError,
    Reply,
    Text,
)
from tests.bedrock.engine_run import Runner

pytestmark = pytest.mark.anyio

MODEL = "bedrock:eu.anthropic.claude-haiku-4-5-20251001-v1:0"
SAID = Text("It ", "is ")
THROTTLED = HttpError(429, "ThrottlingException")


async def test_a_throttled_model_surfaces_within_seconds(
    bedrock: BedrockServer, tmp_path: Path
) -> None:
    bedrock.always(THROTTLED)
    begun = time.monotonic()
    run = await Runner(tmp_path, MODEL).run()
    took_s = time.monotonic() - begun
    assert run.error is not None
    assert run.error.error_type == "MODEL_THROTTLED"
    assert len(bedrock.requests) == 3
    # Up to 1 s before the second attempt, and up to 2 s before the third; the rest is start-up.
    assert took_s < 5


async def test_a_throttle_before_the_first_word_is_mended_unseen(
    bedrock: BedrockServer, tmp_path: Path
) -> None:
    bedrock.script(THROTTLED, Reply(SAID))
    run = await Runner(tmp_path, MODEL).run()
    assert (run.text, run.error) == ("It is ", None)
    assert run.metrics.llm_calls == 1


async def test_figures_of_an_answer_that_broke_off_are_estimated_not_zero(
    bedrock: BedrockServer, tmp_path: Path
) -> None:
    """Bedrock tells them at the end of an answer, and charges for one without it, too."""
    runner = Runner(tmp_path, MODEL)
    bedrock.script(Reply(SAID), Reply(SAID, Cut()), Reply(SAID), *[Reply(SAID, Cut())] * 3)
    whole, repeated, broken = [(await runner.run()) for _ in range(3)]
    assert (whole.voided, repeated.voided, broken.voided) == (0, 1, 2)
    assert (whole.metrics.input_tokens, whole.metrics.llm_calls) == (10, 1)
    estimated = (repeated.metrics.input_tokens or 0) - 10
    assert estimated > 0
    assert (broken.metrics.input_tokens, broken.metrics.llm_calls) == (3 * estimated, 3)
    # The six characters of each answer that was lost are taken for two tokens.
    assert (repeated.metrics.output_tokens or 0) - (whole.metrics.output_tokens or 0) == 2
    assert broken.metrics.output_tokens == 6


async def test_figures_of_an_answer_that_was_filtered_are_what_was_told(
    bedrock: BedrockServer, tmp_path: Path
) -> None:
    bedrock.script(Reply(SAID, stop="guardrail_intervened"))
    filtered = await Runner(tmp_path, MODEL).run()
    assert (filtered.metrics.llm_calls, filtered.metrics.input_tokens) == (1, 10)


async def test_a_service_without_credentials_says_so(
    bedrock: BedrockServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The session that all clients share has looked them up already.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    run = await Runner(tmp_path, MODEL).run()
    assert "lacks credentials" in str(run.error)
    assert bedrock.requests == []


async def test_pauses_shorter_than_the_time_out_do_not_end_a_run(
    bedrock: BedrockServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = [threading.Event() for _ in range(4)]
    monkeypatch.setenv("AGENTRUN_MODEL_IDLE_TIMEOUT_S", "1.5")
    bedrock.script(Reply(*(step for pause in pauses for step in (Text("on "), Hold(pause)))))
    begun, texts, waiting = time.monotonic(), [], iter(pauses)
    async for event in Runner(tmp_path, MODEL).start():
        if isinstance(event, ContentDelta):
            texts.append(event.text)
            threading.Timer(0.4, next(waiting).set).start()
    assert "".join(texts) == "on on on on "
    assert time.monotonic() - begun > 1.5
