"""The stamped model for pydantic-ai."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from unittest.mock import patch

from pydantic_ai.messages import ModelMessage, UserPromptPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from bench.inside.stamps import stamps


def stamped_model(effort: Callable[[], int] = time.process_time_ns) -> FunctionModel:
    """Build it; the argument is that of `stamps`."""

    async def stream(messages: list[ModelMessage], _: AgentInfo) -> AsyncIterator[str]:
        async for delta in stamps(_message(messages), effort):
            yield delta

    return FunctionModel(stream_function=stream, model_name="stamped")


def replace_demo_model(model: FunctionModel) -> None:
    """
    Put a model in place of the demo model, for as long as the process lives.

    That is made at the first run, by code whose place is no concern of a benchmark; so every
    model of its kind that is made from now on is this one.
    """
    patch.object(FunctionModel, "__new__", lambda *_, **__: model).start()
    patch.object(FunctionModel, "__init__", lambda *_, **__: None).start()


def _message(messages: Sequence[ModelMessage]) -> str:
    parts = (part for message in reversed(messages) for part in message.parts)
    return next(str(part.content) for part in parts if isinstance(part, UserPromptPart))
