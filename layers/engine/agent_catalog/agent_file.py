"""An agent's file: pydantic-ai's agent spec, and what a service needs beyond it."""

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from agent_catalog.agent_spec import Capability, ModelSettings
from agent_catalog.mcp.entry import McpServer

MODEL_ID_PATTERN = r"^(demo|test|[a-z0-9/-]+:\S+)$"
"""`demo`, or `<provider>:<name>` as pydantic-ai writes it."""

DEFAULT_MAX_TOKENS = 8_000
"""The tokens of a Claude model's answer if neither the file nor the request sets them."""

ModelId = Annotated[str, Field(pattern=MODEL_ID_PATTERN)]
MimeType = Annotated[str, Field(pattern=r"^[a-z]+/[a-z0-9.+-]+$")]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(_Closed):
    """The most that one run may use, named as in pydantic-ai's `UsageLimits`; money in USD."""

    request_limit: int = Field(default=25, ge=1)
    tool_calls_limit: int | None = Field(default=None, ge=0)
    input_tokens_limit: int | None = Field(default=None, ge=1)
    output_tokens_limit: int | None = Field(default=None, ge=1)
    total_tokens_limit: int | None = Field(default=None, ge=1)
    cost_limit: Decimal | None = Field(default=None, gt=0)


class History(_Closed):
    """How much of a conversation the model sees: the newest turns that fit, always whole."""

    turns: int = Field(default=50, ge=0)
    characters: int = Field(default=200_000, ge=0)


class AgentFile(_Closed):
    """
    The content of an agent's file, whose stem is the agent's id.

    The first block has the names and meanings of pydantic-ai's `AgentSpec`; the second is ours.
    `instructions` is plain text, not a template. `retries` is how often in a row a tool may be
    called with arguments that do not fit before the run ends; `tool_timeout` is in seconds.
    Without `max_tokens` in `model_settings`, `DEFAULT_MAX_TOKENS` applies to Claude models.
    `followup_model` suggests the follow-ups, by default the run's own model.
    """

    name: str = Field(min_length=1)
    description: str = Field(min_length=1)
    instructions: str = ""
    model: ModelId | None = None
    model_settings: ModelSettings = {}
    retries: int = Field(default=2, ge=0)
    tool_timeout: float | None = Field(default=None, gt=0)
    capabilities: tuple[Capability, ...] = ()

    models: tuple[ModelId, ...] = ()
    media: tuple[MimeType, ...] = ()
    tools: tuple[str, ...] = ()
    approval: tuple[str, ...] = ()
    mcp: tuple[McpServer, ...] = ()
    limits: Limits = Limits()
    history: History = History()
    followup_model: ModelId | None = None
    allow_system_prompt: bool = False
    required_scope: str | None = Field(default=None, pattern=r"^[\x21\x23-\x5b\x5d-\x7e]{1,100}$")
    active: bool = True
