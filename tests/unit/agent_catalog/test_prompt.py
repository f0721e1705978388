"""From a task to the model's prompt: the message, then the files in their order."""

from pydantic_ai.messages import BinaryContent, BinaryImage

from agent_catalog.running.history import user_prompt
from agentrun.domain.agents import Agent
from agentrun.domain.media import LoadedMedia
from agentrun.domain.ports import AgentTask

AGENT = Agent(id="sees", name="Sees", description="Sees", model="demo", models=("demo",))


def task(*media: LoadedMedia) -> AgentTask:
    return AgentTask(
        run_id="run-1",
        session_id="session-1",
        tenant="acme",
        user_id="ana",
        agent=AGENT,
        message="look",
        media=media,
    )


def test_a_message_alone_is_the_prompt() -> None:
    assert user_prompt(task()) == "look"


def test_files_follow_the_message_in_their_order() -> None:
    prompt = user_prompt(
        task(
            LoadedMedia(type="image/png", data=b"\x89PNG"),
            LoadedMedia(type="application/pdf", data=b"%PDF-"),
        )
    )
    assert prompt == [
        "look",
        BinaryImage(b"\x89PNG", media_type="image/png"),
        BinaryContent(b"%PDF-", media_type="application/pdf"),
    ]
