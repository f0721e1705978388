"""What the versions of the Agent2Agent protocol call the same things in a request."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

_Params = Mapping[str, JsonValue]


@dataclass(frozen=True)
class Version:
    """A version as it is spoken by JSON-RPC."""

    name: str
    methods: Mapping[str, str] = field(default_factory=dict)
    """By their names in version 1.0; the others have the same name."""
    tells_task_first: bool = True
    """Whether a stream that is attached to a task begins with all that the task has so far."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that say so; a server of 0.3 ignores them."""
        return {"a2a-version": self.name}

    def request(self, method: str, params: _Params) -> tuple[str, dict[str, JsonValue]]:
        """Return what a request of version 1.0 is in this one."""
        asked = dict(params)
        if self is V0_3 and isinstance(message := asked.get("message"), dict):
            asked["message"] = _message(message)
        return self.methods.get(method, method), asked


V1 = Version("1.0")
V0_3 = Version(
    "0.3",
    {
        "SendStreamingMessage": "message/stream",
        "GetTask": "tasks/get",
        "SubscribeToTask": "tasks/resubscribe",
        "CancelTask": "tasks/cancel",
    },
    tells_task_first=False,
)


def version_of(name: str) -> Version | None:
    """Return the version that a card names, such as `0.3.0`; None if it is not spoken here."""
    number = name.split(".")
    if number[0] == "1":
        return V1
    # 0.2 differs in what is not used here.
    return V0_3 if number[:2] in (["0", "3"], ["0", "2"]) else None


def _message(message: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    parts = message["parts"]
    assert isinstance(parts, list)  # noqa: S101 - as it was made
    told = [_part(part) for part in parts if isinstance(part, dict)]
    return {**message, "kind": "message", "role": "user", "parts": told}


def _part(part: Mapping[str, JsonValue]) -> JsonValue:
    if "text" in part:
        return {"kind": "text", **part}
    return {"kind": "file", "file": {"bytes": part["raw"], "mimeType": part["mediaType"]}}
