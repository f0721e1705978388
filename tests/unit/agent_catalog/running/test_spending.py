"""What is counted of answers that break off."""

from decimal import Decimal

import pytest
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    ModelResponsePart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.usage import RequestUsage, RunUsage

from agent_catalog.running.spending import add_broken

NO_TOOLS = ModelRequestParameters()
ASKED: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart("x" * 40)])]


def broken(used: RequestUsage | None = None, *, name: str = "unknown") -> ModelResponse:
    parts: list[ModelResponsePart] = [
        ThinkingPart("y" * 10),
        TextPart("y" * 20),
        ToolCallPart("look", '{"a": 1}'),
    ]
    return ModelResponse(
        parts=parts, usage=used or RequestUsage(), model_name=name, provider_name="openai"
    )


def counted(
    answer: ModelResponse,
    messages: list[ModelMessage] = ASKED,
    parameters: ModelRequestParameters = NO_TOOLS,
) -> RunUsage:
    usage = RunUsage()
    add_broken(usage, answer, messages, parameters)
    return usage


def test_what_was_not_told_is_estimated_from_the_texts() -> None:
    usage = counted(broken())
    assert (usage.requests, usage.input_tokens, usage.output_tokens) == (1, 10, 10)
    assert usage.cost is None


def test_an_estimate_has_the_models_price() -> None:
    # List prices of gpt-4o: 2.50 and 10 USD for a million tokens.
    assert counted(broken(name="gpt-4o")).cost == Decimal("0.000125")


def test_tools_and_their_results_are_input_too() -> None:
    tool = ToolDefinition(name="look", description="z" * 38, parameters_json_schema={})
    said: list[ModelMessage] = [
        *ASKED,
        ModelRequest(parts=[ToolReturnPart("look", "r" * 40, tool_call_id="c")]),
    ]
    usage = counted(broken(), said, ModelRequestParameters(function_tools=[tool]))
    assert usage.input_tokens == (40 + 40 + 40) / 4


def test_the_input_is_no_less_than_that_of_the_answer_before() -> None:
    before = ModelResponse(parts=[TextPart("a")], usage=RequestUsage(input_tokens=700))
    assert counted(broken(), [*ASKED, before]).input_tokens == 700


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (RequestUsage(input_tokens=500, output_tokens=90), (500, 90)),
        # Anthropic tells the input at the beginning, with one token of output.
        (RequestUsage(input_tokens=500, output_tokens=1), (500, 10)),
        (RequestUsage(output_tokens=90), (10, 90)),
    ],
)
def test_what_was_told_counts_if_it_can_be_all(
    told: RequestUsage, expected: tuple[int, int]
) -> None:
    usage = counted(broken(told))
    assert (usage.input_tokens, usage.output_tokens) == expected


def test_a_cost_that_was_told_counts_only_if_nothing_is_estimated() -> None:
    whole = RequestUsage(input_tokens=500, output_tokens=90, cost=Decimal(3))
    assert counted(broken(whole)).cost == Decimal(3)
    part = RequestUsage(input_tokens=500, output_tokens=1, cost=Decimal(3))
    assert counted(broken(part)).cost is None


def test_an_answer_that_had_not_begun_costs_nothing() -> None:
    usage = counted(ModelResponse(parts=[]))
    assert (usage.requests, usage.total_tokens) == (0, 0)
