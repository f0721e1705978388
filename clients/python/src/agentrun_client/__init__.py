"""
The client of an Agentrun deployment: typed, resumable streams, sync and async.

    from agentrun_client import Client

    client = Client("https://api.example", token="…")
    print(client.runs.stream("analyst", "What is 17 * 23?").text())
"""

from agentrun_client.aio.client import AsyncClient
from agentrun_client.aio.stream import AsyncRunStream
from agentrun_client.errors import (
    AgentrunError,
    ApiError,
    AuthenticationError,
    ConflictError,
    ConnectionFailedError,
    InternalServerError,
    InvalidParam,
    InvalidRequestError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    Problem,
    RunCancelledError,
    RunFailedError,
    RunPausedError,
    StreamLostError,
    TooManyRunsError,
    UnavailableError,
    UnsupportedMediaTypeError,
    WaitTimeoutError,
)
from agentrun_client.events import (
    Cancelled,
    ContentDelta,
    Failed,
    Metrics,
    Paused,
    ReasoningDelta,
    RunEvent,
    Start,
    StepReset,
    Stop,
    TerminalEvent,
    ToolEnd,
    ToolError,
    ToolStart,
    UnknownEvent,
)
from agentrun_client.models.actions import (
    Budget,
    Decision,
    PendingCall,
    RequiredAction,
    Verdict,
    approve,
    reject,
)
from agentrun_client.models.agents import Agent, AgentTool
from agentrun_client.models.approvals import Approval
from agentrun_client.models.json_value import JsonValue
from agentrun_client.models.requests import Media, RunOptions, StartOptions, Webhook
from agentrun_client.models.runs import (
    Figures,
    QueuedRun,
    Run,
    RunResult,
    RunStatus,
    StreamTicket,
    ToolCall,
)
from agentrun_client.models.sessions import Message, Session
from agentrun_client.sync.client import Client
from agentrun_client.sync.stream import RunStream
from agentrun_client.version import __version__

__all__ = [
    "Agent",
    "AgentTool",
    "AgentrunError",
    "ApiError",
    "Approval",
    "AsyncClient",
    "AsyncRunStream",
    "AuthenticationError",
    "Budget",
    "Cancelled",
    "Client",
    "ConflictError",
    "ConnectionFailedError",
    "ContentDelta",
    "Decision",
    "Failed",
    "Figures",
    "InternalServerError",
    "InvalidParam",
    "InvalidRequestError",
    "JsonValue",
    "Media",
    "Message",
    "Metrics",
    "NotFoundError",
    "Paused",
    "PayloadTooLargeError",
    "PendingCall",
    "PermissionDeniedError",
    "Problem",
    "QueuedRun",
    "ReasoningDelta",
    "RequiredAction",
    "Run",
    "RunCancelledError",
    "RunEvent",
    "RunFailedError",
    "RunOptions",
    "RunPausedError",
    "RunResult",
    "RunStatus",
    "RunStream",
    "Session",
    "Start",
    "StartOptions",
    "StepReset",
    "Stop",
    "StreamLostError",
    "StreamTicket",
    "TerminalEvent",
    "TooManyRunsError",
    "ToolCall",
    "ToolEnd",
    "ToolError",
    "ToolStart",
    "UnavailableError",
    "UnknownEvent",
    "UnsupportedMediaTypeError",
    "Verdict",
    "WaitTimeoutError",
    "Webhook",
    "__version__",
    "approve",
    "reject",
]
