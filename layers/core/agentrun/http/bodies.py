"""
The JSON bodies of answers.

Shapes that differ from the domain's values are typed dictionaries, which cost a cold start nothing;
the OpenAPI document is generated from both.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, WithJsonSchema
from pydantic_core import to_json
from starlette.responses import Response
from typing_extensions import TypedDict

from agentrun.domain.agents import Agent, AgentTool
from agentrun.domain.conversations import Message, Session, SessionPage
from agentrun.domain.events import PauseType
from agentrun.domain.lists.run_lists import Approval, ApprovalPage, ApprovalStatus, RunPage
from agentrun.domain.runs import AgentRun, RunStatus
from agentrun.domain.value import iso_milliseconds
from agentrun.http import answer_size
from agentrun.http.sse import PendingCall, paused_object, pending_call
from agentrun.service.reading.result import RunResult
from agentrun.service.reading.tickets import IssuedTicket

Timestamp = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
SameAsId = Annotated[str, Field(description="The same as `id`.")]


class HealthBody(TypedDict):
    """The function answers."""

    status: Literal["UP"]


class QueuedBody(TypedDict):
    """A run that is executed in the background; its status tells what comes of it."""

    runId: str
    sessionId: Annotated[str, Field(description="The conversation.")]
    status: Annotated[
        RunStatus, Field(description="`QUEUED`, unless the run had been started before.")
    ]


class TicketBody(TypedDict):
    """What a browser's own EventSource opens one run's stream with."""

    ticket: Annotated[str, Field(description="For one connection, and those that come after it.")]
    expiresAt: Annotated[
        Timestamp, Field(description="Until when the stream can be opened for the first time.")
    ]
    url: Annotated[
        str,
        Field(description="`new EventSource(url)`.", json_schema_extra={"format": "uri"}),
    ]


class AgentBody(TypedDict):
    """What an agent is and takes."""

    id: str
    agentId: SameAsId
    name: str
    description: str
    model: Annotated[str, Field(description="The one used by default.")]
    models: Annotated[Sequence[str], Field(description="Those that `options.model` may choose.")]
    active: Annotated[bool, Field(description="Whether it can be run.")]
    isTeam: Literal[False]
    is_team: Literal[False]
    tools: Sequence[AgentTool]
    media: Annotated[Sequence[str], Field(description="The MIME types that it takes.")]


class SessionBody(TypedDict):
    """A conversation of one user with one agent."""

    id: str
    sessionId: SameAsId
    agentId: str
    userId: str
    title: Annotated[str, Field(description="The beginning of its first message.")]
    createdAt: Timestamp
    updatedAt: Annotated[Timestamp, Field(description="When its last run was started.")]


class SessionWithMessages(SessionBody):
    """A conversation of one user with one agent, and what was said in it."""

    messages: Annotated[
        Sequence[Message], Field(description="The newest of them, the oldest first.")
    ]


class SessionPageBody(TypedDict):
    """Some of a user's sessions, the most recently used first."""

    content: Sequence[SessionBody]
    number: NotRequired[
        Annotated[int, Field(description="The page's, from 0; absent where a cursor was used.")]
    ]
    size: Annotated[int, Field(description="As asked for.")]
    totalElements: Annotated[int, Field(description="Of all pages.")]
    totalPages: Annotated[int, Field(description="Of this size.")]
    nextCursor: NotRequired[Annotated[str, Field(description="There are more sessions.")]]


class RunPageBody(TypedDict):
    """Some runs, the newest first, their texts cut to 4096 bytes each."""

    content: Sequence[AgentRun]
    size: Annotated[int, Field(description="As asked for.")]
    nextCursor: NotRequired[
        Annotated[str, Field(description="There may be more runs, even after an empty page.")]
    ]


class ApprovalBody(TypedDict):
    """A pause of a run: what it waits for, or what has become of it."""

    approvalId: str
    runId: str
    agentId: str
    sessionId: str
    type: PauseType
    approvals: NotRequired[
        Annotated[
            Sequence[PendingCall],
            Field(description="The calls; left out of a page that has no room for them."),
        ]
    ]
    createdAt: Annotated[Timestamp, Field(description="When the run was paused.")]
    expiresAt: NotRequired[
        Annotated[
            Timestamp,
            Field(description="Until when it waits, or did; absent once it was paused again."),
        ]
    ]
    status: ApprovalStatus


class ApprovalPageBody(TypedDict):
    """Some of what waits for a decision, the oldest first."""

    content: Sequence[ApprovalBody]
    size: Annotated[int, Field(description="As asked for.")]
    nextCursor: NotRequired[Annotated[str, Field(description="There are more.")]]


def json_answer(
    body: Mapping[str, Any] | Sequence[Any],
    *,
    status_code: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Answer with a JSON body."""
    return Response(
        to_json(body), status_code=status_code, headers=headers, media_type="application/json"
    )


def buffered_answer(body: Mapping[str, Any] | Sequence[Any]) -> Response:
    """
    Answer 200 with a JSON body that is sent in one piece and must not be cut.

    Raises:
        AnswerTooLargeError: It does not fit into Lambda's 6 MB.
    """
    return Response(answer_size.whole(body), media_type="application/json")


def ticket_answer(issued: IssuedTicket, *, stream_url: str) -> Response:
    """Answer 201 with a ticket, and the URL below `stream_url` that has it."""
    stream = f"{stream_url}/api/agents/{issued.agent_id}/runs/{issued.run_id}/stream"
    body = TicketBody(
        ticket=issued.secret,
        expiresAt=iso_milliseconds(issued.expires_at),
        url=f"{stream}?ticket={issued.secret}",
    )
    return json_answer(body, status_code=201)


def run_answer(run: AgentRun) -> Response:
    """Answer 200 with a run, its texts cut where they exceed Lambda's 6 MB."""
    (body,) = answer_size.fitted([run_body(run)])
    return Response(body, media_type="application/json")


def runs_answer(runs: Sequence[AgentRun]) -> Response:
    """Answer 200 with all of these runs, their texts cut where they exceed Lambda's 6 MB."""
    bodies = answer_size.fitted([run_body(run) for run in runs])
    return Response(answer_size.as_array(bodies), media_type="application/json")


def newest_answer(bodies: Sequence[Mapping[str, Any]]) -> Response:
    """Answer 200 with an array of as many of the last JSON bodies as fit."""
    return Response(answer_size.newest(bodies), media_type="application/json")


def session_answer(session: Session, messages: Sequence[Message]) -> Response:
    """Answer 200 with a session and as many of its newest messages as fit."""
    head = to_json(session_body(session)).removesuffix(b"}") + b',"messages":'
    room_bytes = answer_size.MAX_BODY_BYTES - answer_size.sent_bytes(head) - 1
    newest = answer_size.newest([message_body(message) for message in messages], room_bytes)
    return Response(head + newest + b"}", media_type="application/json")


def run_page_answer(page: RunPage, *, size: int) -> Response:
    """Answer 200 with a page of runs, their texts cut where they exceed Lambda's 6 MB."""
    end = _end_of_page(size, page.next_cursor)
    room_bytes = answer_size.MAX_BODY_BYTES - answer_size.sent_bytes(b'{"content":' + end)
    bodies = answer_size.fitted([run_body(run) for run in page.runs], room_bytes)
    content = answer_size.as_array(bodies)
    return Response(b'{"content":' + content + end, media_type="application/json")


def approvals_answer(page: ApprovalPage, *, size: int) -> Response:
    """Answer 200 with approvals, the largest without their calls where they exceed 6 MB."""
    end = _end_of_page(size, page.next_cursor)
    room_bytes = answer_size.MAX_BODY_BYTES - answer_size.sent_bytes(b'{"content":' + end)
    bodies = [approval_body(approval) for approval in page.approvals]
    sizes = [answer_size.sent_bytes(to_json(body)) + 1 for body in bodies]
    left_out = sorted(range(len(bodies)), key=sizes.__getitem__, reverse=True)
    for place in left_out:
        if sum(sizes) <= room_bytes:
            break
        del bodies[place]["approvals"]
        sizes[place] = answer_size.sent_bytes(to_json(bodies[place])) + 1
    content = answer_size.as_array([to_json(body) for body in bodies])
    return Response(b'{"content":' + content + end, media_type="application/json")


def _end_of_page(size: int, next_cursor: str | None) -> bytes:
    rest = {"size": size, **({"nextCursor": next_cursor} if next_cursor is not None else {})}
    return b"," + to_json(rest).removeprefix(b"{")


def approval_body(approval: Approval) -> ApprovalBody:
    """Return an approval as callers see it."""
    body: ApprovalBody = {
        "approvalId": approval.approval_id,
        "runId": approval.run_id,
        "agentId": approval.agent_id,
        "sessionId": approval.session_id,
        "type": approval.type,
        "approvals": [pending_call(call) for call in approval.approvals],
        "createdAt": iso_milliseconds(approval.created_at),
        "status": approval.status,
    }
    if approval.expires_at is not None:
        body["expiresAt"] = iso_milliseconds(approval.expires_at)
    return body


def agent_body(agent: Agent) -> AgentBody:
    """Return an agent as callers see it, also under names that older clients read."""
    return {
        "id": agent.id,
        "agentId": agent.id,
        "name": agent.name,
        "description": agent.description,
        "model": agent.model,
        "models": agent.models,
        "active": agent.active,
        "isTeam": False,
        "is_team": False,
        "tools": agent.tools,
        "media": agent.media,
    }


def run_body(run: AgentRun) -> dict[str, Any]:
    """Return a run; unknown fields are absent."""
    body = run.model_dump(mode="json", exclude_none=True, exclude={"required_action"})
    if run.required_action is not None and run.status is RunStatus.PAUSED:
        body["requiredAction"] = paused_object(run.required_action)
    return body


def session_body(session: Session) -> SessionBody:
    """Return a session as callers see it, its id under both names."""
    return {
        "id": session.id,
        "sessionId": session.id,
        "agentId": session.agent_id,
        "userId": session.user_id,
        "title": session.title,
        "createdAt": iso_milliseconds(session.created_at),
        "updatedAt": iso_milliseconds(session.updated_at),
    }


def sessions_body(page: SessionPage, *, number: int | None, size: int) -> SessionPageBody:
    """Return a page of sessions; `number` is None where a cursor was used."""
    body: SessionPageBody = {
        "content": [session_body(session) for session in page.sessions],
        "size": size,
        "totalElements": page.total,
        "totalPages": -(-page.total // size),
    }
    if number is not None:
        body["number"] = number
    if page.next_cursor is not None:
        body["nextCursor"] = page.next_cursor
    return body


def message_body(message: Message) -> dict[str, Any]:
    """Return one message of a conversation; unknown fields are absent."""
    return message.model_dump(mode="json", exclude_none=True)


def result_body(result: RunResult) -> dict[str, Any]:
    """Return a run's result as one answer."""
    body = result.model_dump(mode="json", exclude={"required_action", "metrics", "followups"})
    if result.followups is not None:
        body["followups"] = result.followups
    if result.metrics is not None:
        body["metrics"] = result.metrics.model_dump(exclude={"event"}, exclude_none=True)
    if result.required_action is not None:
        body["requiredAction"] = paused_object(result.required_action)
    return body
