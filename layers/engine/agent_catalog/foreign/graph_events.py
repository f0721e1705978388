"""From what happens in a LangGraph graph to our events, figures and messages."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import LLMResult
from langgraph.errors import GraphBubbleUp
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
)
from pydantic_ai.usage import RequestUsage, RunUsage

from agent_catalog.binding.tool import bounded
from agent_catalog.foreign.graph_answers import is_cut_call, used_by
from agent_catalog.json_form import to_json_value, whole_text
from agent_catalog.models.guarded import OutputLimitError
from agentrun.domain.errors import MayNotActError
from agentrun.domain.events import (
    ContentDelta,
    EngineEvent,
    ReasoningDelta,
    ToolEnd,
    ToolError,
    ToolStart,
)
from agentrun.domain.ports import TurnHost

_FAILED = "The tool has failed."
_WAITS = "The tool waits for a decision, and is called again then."
_log = logging.getLogger(__name__)


class GraphListener(BaseCallbackHandler):
    """
    Tells a host of tools, counts what models use, and writes down what was said.

    Tools are those that are called as LangChain's, by a ToolNode, an agent or a node's own code.
    """

    # Otherwise langchain logs what a callback raises, and the tool runs.
    raise_error = True
    # Otherwise each callback would take a thread; a plain tool's are called in the tool's own.
    run_inline = True

    def __init__(self, host: TurnHost, usage: RunUsage, messages: list[ModelMessage]) -> None:
        """
        Listen to one execution.

        Args:
            host: Told, and asked before a tool begins.
            usage: What the run has used; models' answers are added.
            messages: What the turn has said so far; the rest is added.
        """
        super().__init__()
        self.refused: MayNotActError | OutputLimitError | None = None
        """Why no tool may begin; a graph may take it for the tool's or the model's own failure."""
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._usage = usage
        self._messages = messages
        self._running: dict[UUID, tuple[str, str]] = {}
        self._told: dict[UUID, list[UsageMetadata]] = {}

    def take(self, message: Any) -> None:
        """Say what a message, or a part of one, adds to the answer and to the reasoning."""
        if not isinstance(message, AIMessage):
            return
        for kind, text in _texts(message):
            if kind == "text":
                self.say_text(text)
            elif whole := whole_text(text):
                self._host.say(ReasoningDelta(text=whole))

    def say_text(self, text: str) -> None:
        """Say a fragment of the answer."""
        whole = whole_text(text)
        if not whole:
            return
        self._host.say(ContentDelta(text=whole))
        last = self._messages[-1]
        if isinstance(last, ModelResponse) and isinstance(last.parts[-1], TextPart):
            last.parts[-1].content += whole
        else:
            self._messages.append(ModelResponse(parts=[TextPart(whole)]))

    def reject(self, call_id: str, name: str, arguments: Any, reason: str) -> None:
        """Say that a call was rejected: its tool does not begin."""
        given = arguments if isinstance(arguments, dict) else {"input": arguments}
        part = ToolReturnPart(name, reason, call_id, outcome="denied")
        self._messages.append(ModelResponse(parts=[ToolCallPart(name, given, call_id)]))
        self._take(ToolError(id=call_id, name=name, error=reason), ModelRequest(parts=[part]))

    def unfinished(self) -> Iterator[ToolError]:
        """End the tools that are still running, so that every start has an end."""
        while self._running:
            call_id, name = self._running.popitem()[1]
            yield ToolError(id=call_id, name=name, error="The run ended before the tool did.")

    def on_tool_start(
        self,
        serialized: dict[str, Any],
        input_str: str,
        *,
        run_id: UUID,
        inputs: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        """Say that a tool begins; MayNotActError or OutputLimitError if it may not."""
        if self.refused is not None:
            raise self.refused
        try:
            self._host.before_tool()
        except MayNotActError as error:
            self.refused = error
            raise
        name = str((serialized or {}).get("name") or more.get("name") or "tool")
        call_id = str(more.get("tool_call_id") or run_id)
        arguments = to_json_value(input_str if inputs is None else inputs)
        self._running[run_id] = call_id, name
        given = arguments if isinstance(arguments, dict) else {"input": arguments}
        call = ModelResponse(parts=[ToolCallPart(name, given, call_id)])
        self._tell(ToolStart(id=call_id, name=name, arguments=arguments), call)

    def on_tool_end(self, output: Any, *, run_id: UUID, **_: Any) -> None:
        """Say what a tool has given; it may say itself that it has failed."""
        result = output.content if isinstance(output, ToolMessage) else output
        failed = isinstance(output, ToolMessage) and output.status == "error"
        self._ended(run_id, to_json_value(bounded(_plain(result))), failed=failed)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """Say that a tool has failed, or waits; the text of an exception is for the log alone."""
        if isinstance(error, GraphBubbleUp):
            self._ended(run_id, _WAITS, failed=True)
        elif run_id in self._running:
            _log.error("The tool %s failed", self._running[run_id][1], exc_info=error)
            self._ended(run_id, _FAILED, failed=True)

    def _ended(self, run_id: UUID, result: Any, *, failed: bool) -> None:
        if run_id not in self._running:
            return
        call_id, name = self._running.pop(run_id)
        part = ToolReturnPart(name, result, call_id, outcome="failed" if failed else "success")
        if failed:
            told: EngineEvent = ToolError(id=call_id, name=name, error=str(result))
        else:
            self._usage.tool_calls += 1
            told = ToolEnd(id=call_id, name=name, result=result)
        self._tell(told, ModelRequest(parts=[part]))

    def _tell(self, event: EngineEvent, message: ModelMessage) -> None:
        # In the order of the calls: what a thread has told comes before the thread's end.
        self._loop.call_soon_threadsafe(self._take, event, message)

    def _take(self, event: EngineEvent, message: ModelMessage) -> None:
        self._host.say(event)
        self._messages.append(message)

    def on_llm_new_token(
        self,
        token: str | list[str | dict[str, Any]],  # noqa: ARG002 - inherited
        *,
        run_id: UUID,
        chunk: Any = None,
        **_: Any,
    ) -> None:
        """Note what a part of a model's answer says of the tokens used so far."""
        if usage := getattr(getattr(chunk, "message", None), "usage_metadata", None):
            self._told.setdefault(run_id, []).append(usage)

    def on_llm_error(
        self,
        error: BaseException,  # noqa: ARG002 - inherited
        *,
        run_id: UUID,
        **_: Any,
    ) -> None:
        """Forget what was noted of an answer that has broken off."""
        self._told.pop(run_id, None)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        """
        Count what an answer of a model has used; not every provider tells.

        Raises:
            OutputLimitError: The answer was cut inside a call, which must not run.
        """
        self._usage.requests += 1
        told = self._told.pop(run_id, [])
        message = getattr(response.generations[0][0], "message", None)
        if not isinstance(message, AIMessage):
            self._usage.incr(RequestUsage(unmeasured_requests=1))
            return
        self._usage.incr(used_by(message, told))
        if is_cut_call(message):
            self.refused = OutputLimitError("out of tokens in a call of a tool")
            raise self.refused


def _texts(message: AIMessage) -> Iterator[tuple[str, str]]:
    """Yield the texts of a message in their order, and what each is."""
    if thought := message.additional_kwargs.get("reasoning_content"):
        yield "reasoning", str(thought)
    if isinstance(message.content, str):
        yield "text", message.content
        return
    for block in message.content:
        if isinstance(block, str):
            yield "text", block
        elif block.get("type") == "text":
            yield "text", str(block.get("text") or "")
        elif block.get("type") in ("reasoning", "thinking"):
            yield "reasoning", str(block.get("reasoning") or block.get("thinking") or "")


def _plain(result: Any) -> Any:
    return result.model_dump(mode="json") if isinstance(result, BaseMessage) else result
