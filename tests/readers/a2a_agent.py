"""A travel desk on a2a-sdk 0.3; runs in the environment of the readers and prints its address."""

import asyncio
import socket
import sys

import uvicorn
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.apps import A2AStarletteApplication
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, DataPart, Part, TextPart
from a2a.utils import new_agent_text_message, new_task


class TravelDesk(AgentExecutor):  # type: ignore[misc] # of another environment
    """Does what the message says; `held` begins and then waits until it is cancelled."""

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        message = context.get_user_input()
        if message == "plain":
            await event_queue.enqueue_event(new_agent_text_message("Plain.", context.context_id))
            return
        task = context.current_task or new_task(context.message)
        if context.current_task is None:
            await event_queue.enqueue_event(task)
        update = TaskUpdater(event_queue, task.id, task.context_id)

        async def say(*parts: TextPart | DataPart, append: bool = False) -> None:
            told = [Part(root=part) for part in parts]
            await update.add_artifact(told, artifact_id="answer", append=append)

        if context.current_task is not None:
            await say(TextPart(text=f" {message} it is."), append=True)
            await update.complete()
            return
        await update.start_work(new_agent_text_message("Looking it up."))
        if message == "ask":
            question = new_agent_text_message("Which one?", task.context_id, task.id)
            await update.requires_input(question, final=True)
            return
        if message == "parts":
            kinds = [part.root.kind for part in context.message.parts]
            await say(DataPart(data={"kinds": kinds}))
        else:
            await say(TextPart(text="It "))
            await asyncio.sleep(600 if message == "held" else 0)
            await say(TextPart(text="is 3."), append=True)
        await update.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        task = context.current_task
        await TaskUpdater(event_queue, task.id, task.context_id).cancel()


def main() -> None:
    """Serve until the process is ended."""
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    card = AgentCard(
        name="Travel desk",
        description="Books journeys.",
        url=f"{url}/",
        version="1",
        default_input_modes=["text/plain", "image/png"],
        default_output_modes=["text/plain"],
        capabilities=AgentCapabilities(streaming=True),
        skills=[],
    )
    handler = DefaultRequestHandler(TravelDesk(), InMemoryTaskStore())
    server = uvicorn.Server(
        uvicorn.Config(A2AStarletteApplication(card, handler).build(), log_level="error")
    )
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()
    server.run(sockets=[listening])


if __name__ == "__main__":
    main()
