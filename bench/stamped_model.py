"""A model whose deltas say when they were sent, and after how much processor time."""

import asyncio
import re
import time
from collections.abc import AsyncIterator

from pydantic_ai.messages import ModelMessage, UserPromptPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

_COUNT_AND_PACE = re.compile(r"/emit (\d+)(?: every (\d+))?")


def stamped_model() -> FunctionModel:
    """Build a model that obeys `/emit N` and `/emit N every MS`, as the demo model does."""

    async def stream(messages: list[ModelMessage], _: AgentInfo) -> AsyncIterator[str]:
        count, pace_s = _asked_for(messages)
        started = time.monotonic()
        for number in range(1, count + 1):
            yield f"{time.monotonic_ns()}:{time.process_time_ns()} "
            if pace_s:
                # By the clock, so that a late delta does not make all that follow late.
                await asyncio.sleep(started + number * pace_s - time.monotonic())

    return FunctionModel(stream_function=stream, model_name="stamped")


def _asked_for(messages: list[ModelMessage]) -> tuple[int, float]:
    prompts = (
        str(part.content)
        for message in reversed(messages)
        for part in message.parts
        if isinstance(part, UserPromptPart)
    )
    match = _COUNT_AND_PACE.fullmatch(next(prompts))
    if match is None:
        raise ValueError("the stamped model obeys /emit only")
    return int(match[1]), int(match[2] or 0) / 1000
