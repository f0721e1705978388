"""A model whose answers have known prices, and a ledger of what they have cost."""

import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pydantic_ai import exceptions as ai
from pydantic_ai.messages import ModelMessage, ModelResponse, ModelResponseStreamEvent
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

NAME, PROVIDER = "gpt-4o", "openai"
"""Whose prices are used; nobody is asked."""
MOST_INPUT, MOST_OUTPUT = 900, 600
LEAST_BUDGET, MOST_BUDGET = 200, 6_000


@dataclass
class Entry:
    """What one answer has used, whole or not; `is_lost` if its executor could not tell."""

    usage: RequestUsage
    is_whole: bool = False
    is_last: bool = False
    text: str = ""
    is_lost: bool = False

    @property
    def tokens(self) -> int:
        return self.usage.total_tokens

    @property
    def cost(self) -> Decimal:
        answer = ModelResponse(parts=[], usage=self.usage, model_name=NAME, provider_name=PROVIDER)
        return answer.cost().total_price


@dataclass
class Plan:
    """
    What the model does in one run: `steps` answers with tools, then the last one.

    `breaks` are the numbers of the requests whose answers break off, `stops` those in which the
    executor is killed or has to hand over; `tells` says whether what broke off is accounted for.
    """

    number: int
    chance: random.Random
    steps: int
    message: str
    breaks: frozenset[int]
    stops: dict[int, str]
    tells: bool
    tools: Sequence[str] = ("look",)

    def drawn(self, number: int) -> RequestUsage:
        """Return what the answer to the request of this number uses."""
        chance = random.Random(f"{self.number}/{number}")
        tokens = chance.randint(20, MOST_OUTPUT)
        return RequestUsage(input_tokens=len(self.message) // 4 + number, output_tokens=tokens)


@dataclass
class Ledger:
    """Everything that was asked of the model; `on_ask` is called first, `on_stop` in a stop."""

    plan: Plan
    entries: list[Entry] = field(default_factory=list)
    on_ask: Callable[[], None] = lambda: None
    on_stop: Callable[[str], Awaitable[None]] | None = None

    def counted(self) -> list[Entry]:
        return [entry for entry in self.entries if not entry.is_lost]

    @property
    def tokens(self) -> int:
        """All tokens that somebody could count."""
        return sum(entry.tokens for entry in self.counted())

    @property
    def cost(self) -> Decimal:
        return sum((entry.cost for entry in self.counted()), Decimal())

    @property
    def largest(self) -> tuple[int, Decimal]:
        """The tokens, and the cost, of the largest answer."""
        tokens = max(entry.tokens for entry in self.entries)
        return tokens, max(entry.cost for entry in self.entries)


class LedgerModel(Model):
    """Answers as planned, and enters every answer in the ledger as it begins."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger

    @property
    def model_name(self) -> str:
        return NAME

    @property
    def system(self) -> str:
        return PROVIDER

    async def request(self, *_: object, **__: object) -> ModelResponse:
        raise AssertionError("every answer is streamed")

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: Any = None,
    ) -> AsyncGenerator[StreamedResponse, None]:
        ledger = self._ledger
        ledger.on_ask()
        number = len(ledger.entries)
        entry = Entry(ledger.plan.drawn(number))
        ledger.entries.append(entry)
        answers = sum(isinstance(message, ModelResponse) for message in messages)
        yield _Answer(
            model_request_parameters=model_request_parameters,
            ledger=ledger,
            number=number,
            entry=entry,
            step=answers,
        )


@dataclass
class _Answer(StreamedResponse):
    ledger: Ledger
    number: int
    entry: Entry
    step: int

    async def _get_event_iterator(self) -> AsyncIterator[ModelResponseStreamEvent]:
        plan, parts, entry = self.ledger.plan, self._parts_manager, self.entry
        stop = plan.stops.get(self.number)
        await self._stop(stop, "before")
        output = self.model_request_parameters.output_tools
        is_broken = self.number in plan.breaks and not output
        if plan.tells or not is_broken:
            self._usage += entry.usage
        if output:
            texts = ["a", "b", "c"] if plan.chance.random() < 0.5 else []
            yield parts.handle_tool_call_part(
                vendor_part_id=0,
                tool_name=output[0].name,
                args={"suggestions": texts},
                tool_call_id=f"s{self.number}",
            )
            entry.is_whole = True
            return
        # As long as its tokens would make it, less its calls.
        text = f"[{self.number}] ".ljust(4 * entry.usage.output_tokens - 40, "x")
        for event in parts.handle_text_delta(vendor_part_id=0, content=text):
            yield event
        await self._stop(stop, "midst")
        if is_broken:
            raise ai.ModelConnectionError(NAME, "gone")
        if self.step < plan.steps:
            for place, tool in enumerate(plan.tools):
                yield parts.handle_tool_call_part(
                    vendor_part_id=place + 1,
                    tool_name=tool,
                    args={},
                    tool_call_id=f"c{self.number}-{place}",
                )
        await self._stop(stop, "end")
        entry.is_whole, entry.text = True, text
        entry.is_last = self.step >= plan.steps

    async def _stop(self, stop: str | None, place: str) -> None:
        if stop is not None and stop.endswith(place) and self.ledger.on_stop is not None:
            await self.ledger.on_stop(stop)

    async def close_stream(self) -> None:
        return

    @property
    def model_name(self) -> str:
        return NAME

    @property
    def provider_name(self) -> str:
        return PROVIDER

    @property
    def provider_url(self) -> None:
        return None

    @property
    def timestamp(self) -> datetime:
        return datetime(2026, 11, 30, tzinfo=UTC)
