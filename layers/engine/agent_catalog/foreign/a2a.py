"""An agent behind the Agent2Agent protocol: its task is a run's, and outlives its executors."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any

import anyio
from pydantic import BaseModel, ConfigDict, JsonValue
from pydantic_ai import exceptions as ai
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.usage import RunUsage

from agent_catalog.agent_file import AgentFile
from agent_catalog.foreign.a2a_wire import NAME, A2aClient, Event, Status, Task
from agent_catalog.foreign.chat import headers_of
from agent_catalog.json_form import whole_text
from agent_catalog.models.factory import idle_timeout_s
from agent_catalog.running.errors import shown_error
from agent_catalog.running.events import metrics
from agent_catalog.running.history import dumped, messages_of
from agentrun.domain.errors import AgentrunError, CancelRequestedError, EngineError, HandedOverError
from agentrun.domain.events import ContentDelta, PauseType, ReasoningDelta
from agentrun.domain.ports import CANCEL_REQUESTED, AgentTask, TurnHost
from agentrun.domain.steps import Answered, Began
from agentrun.domain.turns import TurnEnded, TurnEnding, TurnPaused

Suggest = Callable[[str, RunUsage], Awaitable[tuple[str, ...] | None]]
_ATTACHED = 5
"""How often a task is attached to again whose stream has ended before it had."""
_GOODBYE_S = 1.0
_FAILURES = {
    "TASK_STATE_FAILED": "The agent behind the endpoint has failed.",
    "TASK_STATE_REJECTED": "The agent behind the endpoint has refused the request.",
    "TASK_STATE_CANCELED": "The task was cancelled at the agent behind the endpoint.",
    "TASK_STATE_AUTH_REQUIRED": "The agent behind the endpoint asks for an authorization.",
}


class Place(BaseModel):
    """
    Where a conversation is at the other side.

    `task` is there only while it runs, or waits for the next message; `told` counts the characters
    of its results that earlier turns have said.
    """

    model_config = ConfigDict(defer_build=True)

    context: str = ""
    task: str = ""
    told: dict[str, int] = {}


async def a2a_run(task: AgentTask, file: AgentFile, host: TurnHost) -> "A2aRun":
    """Prepare a run; EngineError if the key of its endpoint is not there."""
    assert file.endpoint is not None  # noqa: S101 - as the caller has looked up
    headers = await headers_of(task.agent.id, file.endpoint)
    url = str(file.endpoint.a2a)
    client = A2aClient(url, headers, idle_timeout_s=idle_timeout_s())
    return A2aRun(task, file, client, host)


class A2aRun:
    """
    One run of an agent elsewhere: a new message, or a task that is attached to; runs once.

    That the message may have been sent is kept before it is, and the task's id as soon as it is
    known. So another executor attaches to the task, and none sends a message twice.
    """

    def __init__(self, task: AgentTask, file: AgentFile, client: A2aClient, host: TurnHost) -> None:
        self._task, self._file, self._client, self._host = task, file, client, host
        self._place = Place()
        self._known: dict[str, str] = {}
        self._text = ""
        self._status = Status()
        self._usage = RunUsage()

    async def play(self, suggest: Suggest) -> TurnEnding:
        """Run the agent to its end; say what the port `AgentEngine` asks for."""
        try:
            ending = await self._ended(suggest)
        except asyncio.CancelledError as error:
            if error.args == (CANCEL_REQUESTED,):
                await self._cancel_task()
            raise
        except CancelRequestedError:
            await self._cancel_task()
            raise
        except HandedOverError:
            raise
        except AgentrunError:
            self._say_figures()
            raise
        except Exception as error:
            self._say_figures()
            raise shown_error(error, self._file.limits) from error
        self._say_figures()
        return ending

    async def _ended(self, suggest: Suggest) -> TurnEnding:
        kept = [step.content for step in self._task.steps if isinstance(step.content, Answered)]
        if kept:
            self._place = Place.model_validate_json(kept[-1].message)
        elif any(isinstance(step.content, Began) for step in self._task.steps):
            raise EngineError(
                "Nobody knows whether the agent behind the endpoint has got the message: what"
                " sent it was lost. It is not sent again."
            )
        else:
            if not await self._host.before_model():
                return TurnPaused(type=PauseType.BUDGET, state="{}")
            # Before the message counts as sent: this may be repeated.
            await self._client.read_card()
            await self._host.keep(Began(acting=("message",)))
            await self._take_all(self._client.events("SendStreamingMessage", self._message()))
        await self._attach()
        return await self._answered(suggest)

    def _message(self) -> dict[str, JsonValue]:
        last = _place_after(self._task)
        files: list[JsonValue] = [
            {"raw": b64encode(media.data).decode(), "mediaType": media.type}
            for media in self._task.media
        ]
        message: dict[str, JsonValue] = {
            # By which the agent may notice that it has the message already.
            "messageId": self._task.run_id,
            "role": "ROLE_USER",
            "parts": [{"text": self._task.message}, *files],
        }
        if last.context:
            message["contextId"] = last.context
        if last.task:
            message["taskId"] = last.task
        return {"message": message, "configuration": {"acceptedOutputModes": ["text/plain"]}}

    async def _attach(self) -> None:
        """Follow the task until it settles, however often its stream ends."""
        for attempt in range(_ATTACHED):
            if self._status.is_settled or not self._place.task:
                return
            if attempt:
                await asyncio.sleep(0.2 * 2**attempt)
            asked: dict[str, JsonValue] = {"id": self._place.task}
            found = Task.model_validate(await self._client.call("GetTask", asked))
            await self._take(Event(task=found))
            if not self._status.is_settled:
                # One that settles in between cannot be subscribed to: the next look finds it so.
                try:
                    await self._follow(self._client.events("SubscribeToTask", asked))
                except ai.ModelTimeoutError:
                    raise
                except ai.ModelAPIError:
                    continue
        if not self._status.is_settled:
            raise ai.ModelConnectionError(NAME, "the stream ended before the task")

    async def _follow(self, events: AsyncGenerator[Event, None]) -> None:
        if self._client.tells_task_first:
            await self._take_all(events)
            return
        # What the task has said between two requests is missing here; the next look has all.
        async with aclosing(events):
            async for _ in events:
                pass

    async def _take_all(self, events: AsyncGenerator[Event, None]) -> None:
        try:
            async with aclosing(events):
                async for event in events:
                    await self._take(event)
        except ai.ModelTimeoutError:
            raise
        except ai.ModelConnectionError:
            # The task goes on without its stream.
            if not self._place.task:
                raise

    async def _take(self, event: Event) -> None:
        if task := event.task:
            await self._is_at(task.id, task.context_id)
            for artifact in task.artifacts:
                before = self._place.told.get(artifact.artifact_id, 0)
                self._say(artifact.artifact_id, artifact.text[before:])
            self._settle(task.status)
        elif update := event.artifact_update:
            await self._is_at(update.task_id, update.context_id)
            artifact = update.artifact
            known = self._known.get(artifact.artifact_id, "") if update.append else ""
            self._say(artifact.artifact_id, known + artifact.text)
        elif change := event.status_update:
            await self._is_at(change.task_id, change.context_id)
            self._settle(change.status)
        elif message := event.message:
            self._place.context = message.context_id or self._place.context
            self._say("", message.text)
            self._status = Status(state="TASK_STATE_COMPLETED")

    async def _is_at(self, task_id: str, context_id: str) -> None:
        if self._place.task or not task_id:
            return
        last = _place_after(self._task)
        told = last.told if last.task == task_id else {}
        self._place = Place(context=context_id, task=task_id, told=told)
        await self._host.keep(Answered(message=self._place.model_dump_json()))

    def _settle(self, status: Status) -> None:
        self._status = status
        said = status.message.text if status.message else ""
        if not said:
            return
        if not status.is_settled:
            self._host.say(ReasoningDelta(text=whole_text(said)))
        elif said not in self._text and status.state not in _FAILURES:
            self._say(status.state, said)

    def _say(self, name: str, text: str) -> None:
        """Say what is new of a text; a snapshot repeats what updates have said."""
        known = self._known.get(name)
        self._known[name] = text
        new = text[len(known) :] if known is not None and text.startswith(known) else text
        if known is None and self._text and new:
            new = f"\n\n{new}"
        if new:
            whole = whole_text(new)
            self._text += whole
            self._host.say(ContentDelta(text=whole))

    async def _answered(self, suggest: Suggest) -> TurnEnded:
        failure = _FAILURES.get(self._status.state)
        if failure is not None:
            raise EngineError(failure)
        if not self._status.state:
            raise ai.UnexpectedModelBehavior("The endpoint has answered nothing.")
        followups = None
        if self._task.generate_followups:
            followups = await suggest(self._text, self._usage)
        if self._status.state == "TASK_STATE_INPUT_REQUIRED":
            lengths = {name: len(text) for name, text in self._known.items()}
            told = self._place.told
            self._place.told = told | {n: told.get(n, 0) + lengths[n] for n in lengths}
        else:
            self._place = Place(context=self._place.context)
        answer = ModelResponse(
            parts=[TextPart(self._text)],
            provider_name=NAME,
            provider_details={NAME: json.loads(self._place.model_dump_json())},
        )
        question = ModelRequest(parts=[UserPromptPart(self._task.message)])
        return TurnEnded(messages=dumped([question, answer]).decode(), followups=followups)

    async def _cancel_task(self) -> None:
        """Tell the agent that its task is to end, in a second at most."""
        if self._place.task and not self._status.is_settled:
            with anyio.move_on_after(_GOODBYE_S, shield=True), suppress(Exception):
                await self._client.call("CancelTask", {"id": self._place.task})

    def _say_figures(self) -> None:
        self._host.say(metrics(self._usage, self._task.agent.model))


def _place_after(task: AgentTask) -> Place:
    for turn in reversed(task.history):
        last: Any = messages_of(turn)[-1]
        if isinstance(last, ModelResponse) and last.provider_name == NAME:
            return Place.model_validate((last.provider_details or {}).get(NAME) or {})
    return Place()
