"""The settings of a deployment, read once from the environment."""

import json
import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agentrun.domain.quotas import MOST_RUNS_PER_TENANT, RunLimits

_LISTS = {"cors_origins", "cors_allow_headers", "scope_claims", "default_scopes", "role_claims"}
"""Comma separated, like the template's parameters."""
_MAY_BE_EMPTY = {"org_claim"}
_LAMBDAS_TASK_ROOT = "/var/task"
"""
What `LAMBDA_TASK_ROOT` says on Lambda, and nowhere else. The name is reserved, so no deployment can
set it to anything else ("Defined runtime environment variables" in the developer guide).
"""


class Settings(BaseModel):
    """The template's parameters, as every function gets them."""

    model_config = ConfigDict(frozen=True)

    table: str = ""
    run_queue_url: str = ""
    bucket: str = ""
    model: str = "demo"
    jwt_issuer: str = ""
    jwt_audience: str = ""
    jwks_url: str = ""
    jwks: dict[str, Any] | None = None
    audience_claim: str = "aud"
    user_claim: str = "sub"
    org_claim: str = "org_id"
    scope_claims: tuple[str, ...] = ()
    scope_prefix: str = ""
    default_scopes: tuple[str, ...] = ()
    role_claims: tuple[str, ...] = ("roles",)
    admin_role: str = "admin"
    base_path: str = ""
    stream_url: str = ""
    """The Function URL, without a slash at its end; only who issues tickets for it is told."""
    cors_origins: tuple[str, ...] = ()
    cors_allow_headers: tuple[str, ...] = ()
    ping_after_s: float = Field(default=10, ge=0.1, le=10)
    """Seconds of silence after which a stream sends a ping; clients are promised at most 10."""
    approval_expiry_hours: float = 24
    max_runs_per_user: int = Field(default=50, ge=0, le=MOST_RUNS_PER_TENANT)
    max_runs_per_tenant: int = Field(default=200, ge=0, le=MOST_RUNS_PER_TENANT)
    runs_per_minute_per_user: int = 0
    runs_per_minute_per_tenant: int = 0
    daily_tokens_per_tenant: int = 0
    max_readers_per_user: int = 200
    log_causes: Literal["safe", "full"] = "safe"
    webhooks: bool = False
    """Whether runs may have webhooks: there is a secret to sign them with."""
    webhook_loopback: bool = False
    """Whether webhooks may lead to this machine; never true on Lambda."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """
        Read the variables `AGENTRUN_…`; those absent or empty keep their defaults.

        An empty `AGENTRUN_ORG_CLAIM` means that there are no organisations. On Lambda
        `AGENTRUN_WEBHOOK_LOOPBACK` counts for nothing: a receiver there would be another function's
        process, or Lambda's own.

        Raises:
            ValueError: `AGENTRUN_JWKS` is not JSON, or a number is out of its range.
        """
        found: dict[str, Any] = {
            name: value
            for name in cls.model_fields
            if (value := environment.get(f"AGENTRUN_{name.upper()}"))
            or (value is not None and name in _MAY_BE_EMPTY)
        }
        for name in _LISTS & set(found):
            found[name] = tuple(part.strip() for part in found[name].split(",") if part.strip())
        if "jwks" in found:
            found["jwks"] = json.loads(found["jwks"])
        if "base_path" in found:
            found["base_path"] = f"/{found['base_path'].strip('/')}".rstrip("/")
        if "stream_url" in found:
            found["stream_url"] = found["stream_url"].rstrip("/")
        if environment.get("LAMBDA_TASK_ROOT") == _LAMBDAS_TASK_ROOT:
            found.pop("webhook_loopback", None)
        return cls.model_validate(found)

    @property
    def effective_jwks_url(self) -> str:
        """Where the issuer publishes its keys: by default, the standard path below its URL."""
        return self.jwks_url or f"{self.jwt_issuer.rstrip('/')}/.well-known/jwks.json"

    @property
    def approval_expiry(self) -> timedelta:
        """How long a paused run waits for its decision."""
        return timedelta(hours=self.approval_expiry_hours)

    @property
    def run_limits(self) -> RunLimits:
        """What users and tenants may run; 0 means no limit."""
        return RunLimits(
            runs_per_user=self.max_runs_per_user,
            runs_per_tenant=self.max_runs_per_tenant,
            starts_per_minute_per_user=self.runs_per_minute_per_user,
            starts_per_minute_per_tenant=self.runs_per_minute_per_tenant,
            tokens_per_day_per_tenant=self.daily_tokens_per_tenant,
        )


class WebhookSettings(BaseModel):
    """What the webhook function gets besides."""

    model_config = ConfigDict(frozen=True)

    queue_url: str = ""
    dead_letters_url: str = ""
    secret_arn: str = ""
    secrets: str = Field(default="", repr=False)
    """A laptop's secrets, the newest first, separated by spaces; they win over `secret_arn`."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "WebhookSettings":
        """Read the variables `AGENTRUN_WEBHOOK_…`."""
        found = {
            name: environment.get(f"AGENTRUN_WEBHOOK_{name.upper()}", "")
            for name in cls.model_fields
        }
        return cls.model_validate(found)
