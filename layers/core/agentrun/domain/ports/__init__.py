"""The ports: what the services need from outside, in the domain's own words."""

from agentrun.domain.ports.agents import (
    CANCEL_REQUESTED,
    AgentDirectory,
    AgentEngine,
    ArgumentChecker,
    PriceList,
    TurnHost,
)
from agentrun.domain.ports.callers import TokenVerifier, VerifiedToken
from agentrun.domain.ports.clock import Clock
from agentrun.domain.ports.conversation_store import ConversationStore
from agentrun.domain.ports.event_log import EventLog
from agentrun.domain.ports.large_objects import LargeObjects
from agentrun.domain.ports.reader_quota import ReaderQuota
from agentrun.domain.ports.run_journal import RunJournal
from agentrun.domain.ports.run_list import RunList
from agentrun.domain.ports.run_queue import HeldMessage, RunQueue
from agentrun.domain.ports.run_quota import RunQuota
from agentrun.domain.ports.run_store import RunStore
from agentrun.domain.ports.stream_tickets import StreamTickets
from agentrun.domain.ports.webhooks import WebhookGuard
from agentrun.domain.turns import AgentTask

__all__ = [
    "CANCEL_REQUESTED",
    "AgentDirectory",
    "AgentEngine",
    "AgentTask",
    "ArgumentChecker",
    "Clock",
    "ConversationStore",
    "EventLog",
    "HeldMessage",
    "LargeObjects",
    "PriceList",
    "ReaderQuota",
    "RunJournal",
    "RunList",
    "RunQueue",
    "RunQuota",
    "RunStore",
    "StreamTickets",
    "TokenVerifier",
    "TurnHost",
    "VerifiedToken",
    "WebhookGuard",
]
