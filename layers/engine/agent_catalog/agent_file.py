"""An agent's file: pydantic-ai's agent spec, and what a service needs beyond it."""

import re
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

from agent_catalog.agent_spec import Capability, ModelSettings
from agent_catalog.foreign.endpoint import Endpoint
from agent_catalog.mcp.entry import McpServer
from agentrun.domain.agents import Replay

MODEL_ID_PATTERN = r"^(demo|test|[a-z0-9/-]+:\S+)$"
"""`demo`, or `<provider>:<name>` as pydantic-ai writes it."""

DEFAULT_MAX_TOKENS = 8_000
"""The tokens of a Claude model's answer if neither the file nor the request sets them."""

ModelId = Annotated[str, Field(pattern=MODEL_ID_PATTERN)]
MimeType = Annotated[str, Field(pattern=r"^[a-z]+/[a-z0-9.+-]+$")]


_MAX_DURATION_S = 24 * 3_600
_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?) ?(?P<unit>s|m|h)")
_UNITS_S = {"s": 1, "m": 60, "h": 3_600}


def _seconds(value: JsonValue) -> JsonValue:
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value.strip())
    if match is None:
        raise ValueError("must be a number of seconds, or such as '90s', '15m' or '2h'")
    return float(match["number"]) * _UNITS_S[match["unit"]]


Duration = Annotated[float, BeforeValidator(_seconds), Field(gt=0, le=_MAX_DURATION_S)]
"""In seconds; a file may also write it with a unit, such as `15m`."""


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(_Closed):
    """
    The most that one run may use, named as in pydantic-ai's `UsageLimits`; money in USD.

    The last two are the run's budget: the step that reaches one of them ends, and then the run does
    what `on_budget` says. The others end the run at once.
    """

    request_limit: int = Field(default=25, ge=1)
    tool_calls_limit: int | None = Field(default=None, ge=0)
    input_tokens_limit: int | None = Field(default=None, ge=1)
    output_tokens_limit: int | None = Field(default=None, ge=1)
    total_tokens_limit: int | None = Field(default=None, ge=1, le=10**12)
    cost_limit: Decimal | None = Field(default=None, gt=0, le=1_000_000)


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
    `replay` says by tool what becomes of a call that may have run when its executor was lost;
    `max_attempts` and `max_duration` bound a run that is executed again and again.

    One of the last block stands in place of `instructions` and `tools`: an object in a module of
    the tools, as `tools.module:name`, or another service. `foreign/rules.py` says which fields go
    with it. `deps` makes the dependencies of `agent`.
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
    replay: dict[str, Replay] = {}
    mcp: tuple[McpServer, ...] = ()
    limits: Limits = Limits()
    on_budget: Literal["fail", "pause"] = "fail"
    max_attempts: int = Field(default=3, ge=1, le=10)
    max_duration: Duration = 15 * 60
    history: History = History()
    followup_model: ModelId | None = None
    allow_system_prompt: bool = False
    required_scope: str | None = Field(default=None, pattern=r"^[\x21\x23-\x5b\x5d-\x7e]{1,100}$")
    active: bool = True

    agent: str | None = None
    deps: str | None = None
    graph: str | None = None
    endpoint: Endpoint | None = None
