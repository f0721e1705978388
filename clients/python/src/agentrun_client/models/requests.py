"""What a run is started with."""

import os
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, TypedDict

from agentrun_client.models.json_value import JsonValue

WebhookEvent: TypeAlias = Literal["run.completed", "run.failed", "run.cancelled", "run.paused"]
SessionPolicy: TypeAlias = Literal["reject", "enqueue", "interrupt"]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """
    Overrides for one run, and its budget.

    Attributes:
        model: One of the agent's `models`.
        temperature: 0 to 2.
        max_tokens: How long an answer may be, 1 to 65 536.
        system_prompt: In place of the agent's instructions, where the agent allows it.
        max_cost_usd: What the run may cost; never above the agent's own limit.
        max_total_tokens: How many tokens it may use; likewise.
    """

    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    system_prompt: str | None = None
    max_cost_usd: float | None = None
    max_total_tokens: int | None = None

    def as_body(self) -> dict[str, JsonValue]:
        """Return them as the API takes them."""
        body: dict[str, JsonValue] = {
            "model": self.model,
            "temperature": self.temperature,
            "maxTokens": self.max_tokens,
            "systemPrompt": self.system_prompt,
            "maxCostUsd": self.max_cost_usd,
            "maxTotalTokens": self.max_total_tokens,
        }
        return {name: value for name, value in body.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Media:
    """A file that goes with a message: a MIME type, and base64 or the URL of a public host."""

    type: str
    data: str

    @classmethod
    def from_bytes(cls, content: bytes, type: str) -> "Media":  # noqa: A002 - the API's name
        """Send the bytes themselves, at most 4 MiB for all files of a message."""
        return cls(type, b64encode(content).decode())

    @classmethod
    def from_url(cls, url: str, type: str) -> "Media":  # noqa: A002 - the API's name
        """Let the deployment download the file, at most 10 MiB, from a public host."""
        if not url.lower().startswith(("http://", "https://")):
            raise ValueError(f"the URL of a file begins with http:// or https://, not {url[:40]!r}")
        return cls(type, url)

    @classmethod
    def from_file(cls, path: "str | os.PathLike[str]", type: str | None = None) -> "Media":  # noqa: A002
        """
        Send the bytes of a local file.

        Raises:
            ValueError: The type was not given, and the file's name does not tell it.
        """
        if type is None:
            # Seldom needed, and it reads the system's tables.
            from mimetypes import guess_type  # noqa: PLC0415

            type, _ = guess_type(os.fspath(path))  # noqa: A001
            if type is None:
                raise ValueError(f"the name {os.fspath(path)!r} tells no MIME type; pass `type`")
        return cls.from_bytes(Path(path).read_bytes(), type)

    def __repr__(self) -> str:
        """Show the beginning only: the data may be megabytes."""
        return f"Media(type={self.type!r}, data={self.data[:40]!r}…)"

    def as_body(self) -> dict[str, JsonValue]:
        """Return it as the API takes it."""
        return {"type": self.type, "data": self.data}


@dataclass(frozen=True, slots=True)
class Webhook:
    """
    Whom to tell by HTTP when the run has paused or ended, and of which of these events.

    Deliveries are signed as Standard Webhooks describes; verify them with that project's library.
    """

    url: str
    events: Sequence[WebhookEvent] | None = None

    def as_body(self) -> dict[str, JsonValue]:
        """Return it as the API takes it."""
        body: dict[str, JsonValue] = {"url": self.url}
        if self.events is not None:
            body["events"] = list(self.events)
        return body


class StartOptions(TypedDict, total=False):
    """
    What may be said besides the agent and the message when a run is started.

    Keys:
        session_id: The conversation to go on with, a UUID; a new one if it is left out.
        media: Files that go with the message, at most 10.
        options: Overrides for this run, and its budget.
        webhook: Whom to tell when the run has paused or ended.
        generate_followups: Whether to suggest follow-up questions.
        user_id: The user to act for; another than the token's needs the scope `runs:impersonate`.
        session_policy: What to do while another run uses the session; `reject` by default.
        idempotency_key: Names this run, 1 to 255 visible ASCII characters. Made by the client if it
            is left out; give your own to come back to the run from another process.
    """

    session_id: str | None
    media: Sequence[Media]
    options: RunOptions | None
    webhook: Webhook | None
    generate_followups: bool
    user_id: str | None
    session_policy: SessionPolicy | None
    idempotency_key: str | None
