"""A run's texts, `input` and `output`: left out, put in, or cut to a preview."""

from agentrun.domain.runs import AgentRun

PREVIEW_BYTES = 4096


def cut_utf8(text: str, limit_bytes: int = PREVIEW_BYTES) -> tuple[str, bool]:
    """Cut a text to `limit_bytes` of UTF-8 at a character boundary; tell whether it was cut."""
    # A character has at most 4 bytes in UTF-8, so most texts need no encoding to be let through.
    if len(text) * 4 <= limit_bytes:
        return text, False
    encoded = text.encode()
    if len(encoded) <= limit_bytes:
        return text, False
    return encoded[:limit_bytes].decode(errors="ignore"), True


def without_texts(run: AgentRun) -> AgentRun:
    """Return a run without its texts, which a header may or may not hold."""
    return run.model_copy(update={"input": None, "output": None})


def with_texts(run: AgentRun, *, input: str | None, output: str | None) -> AgentRun:  # noqa: A002
    """Return a run with its whole texts."""
    return run.model_copy(update={"input": input, "output": output})


def with_previews(run: AgentRun, *, more: frozenset[str] = frozenset()) -> AgentRun:
    """
    Return a run with its texts cut to 4096 bytes of UTF-8 each.

    Args:
        run: The run with its texts, or with their beginnings.
        more: The names of those that are no more than the beginning.
    """
    changes: dict[str, object] = {}
    for name in ("input", "output"):
        text = getattr(run, name)
        if text is not None:
            changes[name], was_cut = cut_utf8(text)
            changes[f"{name}_truncated"] = was_cut or name in more or None
    return run.model_copy(update=changes)
