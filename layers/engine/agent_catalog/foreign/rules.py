"""Which fields of an agent's file go with an agent that the file does not describe itself."""

from agent_catalog.agent_file import AgentFile
from agent_catalog.file_faults import FileFaultError
from agent_catalog.tool_names import ToolReferenceError, place_of_object
from agentrun.domain.agents import AgentTool, Replay

_OF_A_FILE = ("instructions", "tools", "mcp", "capabilities", "retries", "tool_timeout")
_OF_TOOLS = ("approval", "replay")
_OF_MODELS = ("model", "models")
_OF_REQUESTS = ("model_settings", "allow_system_prompt")
_NOT_WITH: dict[str, tuple[str, ...]] = {
    "agent": _OF_A_FILE,
    "graph": (*_OF_A_FILE, *_OF_TOOLS, *_OF_MODELS, *_OF_REQUESTS),
    "endpoint": (*_OF_A_FILE[1:], *_OF_TOOLS, *_OF_MODELS),
}
"""Without `agent` or the like, all of an agent's fields may be set."""

SETTINGS_OF_ENDPOINTS = frozenset(
    (
        *("max_tokens", "temperature", "top_p", "seed", "presence_penalty", "frequency_penalty"),
        *("stop_sequences", "extra_body"),
    )
)
"""The settings of a model that are passed on to an endpoint."""
# The catalogue is read without importing the object.
_DESCRIPTION = "A tool of the agent's own; its code describes it to the model."


def kind_of(file: AgentFile) -> str | None:
    """Return the field that stands in place of instructions and tools; None if none does."""
    return next((kind for kind in _NOT_WITH if getattr(file, kind) is not None), None)


def check_kind(file: AgentFile) -> None:
    """Raise FileFaultError if fields do not go together, or a reference leads nowhere."""
    kind = kind_of(file)
    if file.deps is not None and kind != "agent":
        raise FileFaultError(("deps",), "goes only with 'agent'")
    if kind is None:
        return
    a2a = file.endpoint is not None and file.endpoint.a2a is not None
    more = ("instructions", "model_settings", "allow_system_prompt") if a2a else ()
    for other in (*_NOT_WITH, *_NOT_WITH[kind], *more):
        if other != kind and other in file.model_fields_set:
            raise FileFaultError((other,), f"does not go with '{kind}'; {_REASONS[kind]}")
    if kind == "endpoint":
        for setting in file.model_settings:
            if setting not in SETTINGS_OF_ENDPOINTS:
                known = ", ".join(sorted(SETTINGS_OF_ENDPOINTS))
                reason = f"is not passed on to an endpoint; passed on are {known}"
                raise FileFaultError(("model_settings", setting), reason)
        return
    for field in (kind, "deps"):
        _check_reference(field, getattr(file, field))


def _check_reference(field: str, reference: str | None) -> None:
    try:
        if reference is not None:
            place_of_object(reference)
    except ToolReferenceError as error:
        raise FileFaultError((field,), str(error)) from error


_REASONS = {
    "graph": "it is up to the graph's own code",
    "agent": "set it where the agent is made, in Python",
    "endpoint": "it is up to the service behind it",
}


def attempts_of(file: AgentFile) -> int:
    """
    Return how often a run is executed whose executors are lost.

    What a service or a node of a graph has done for a lost executor nobody knows, so by default it
    is not asked again.
    """
    if "max_attempts" in file.model_fields_set:
        return file.max_attempts
    asked_again = file.endpoint is not None and not file.endpoint.outlives_executors
    return 1 if file.graph is not None or asked_again else file.max_attempts


def model_of(file: AgentFile, default_model: str) -> str:
    """Return what callers see as the agent's model."""
    if file.graph is not None:
        return "graph"
    return file.endpoint.model_id if file.endpoint else file.model or default_model


def named_tools(file: AgentFile) -> tuple[AgentTool, ...]:
    """Return the tools of an object that the file names, without importing it."""
    return tuple(
        AgentTool(
            name=name,
            description=_DESCRIPTION,
            requires_approval=name in file.approval,
            replay=file.replay.get(name, Replay.NEVER),
        )
        for name in dict.fromkeys((*file.approval, *file.replay))
    )
