"""SnapStart: the hooks around a snapshot, run as the managed runtime runs them."""

import importlib
from collections.abc import Callable
from typing import Any

_Hook = tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]


def run_before_snapshot() -> None:
    """Run what `snapshot_restore_py` has registered for before the snapshot, last one first."""
    for hook, args, kwargs in reversed(_registered("get_before_snapshot")):
        hook(*args, **kwargs)


def run_after_restore() -> None:
    """Run what `snapshot_restore_py` has registered for after the restore, in order."""
    for hook, args, kwargs in _registered("get_after_restore"):
        hook(*args, **kwargs)


def _registered(getter: str) -> list[_Hook]:
    try:
        registry = importlib.import_module("snapshot_restore_py")
    except ImportError:
        return []
    hooks: list[_Hook] = getattr(registry, getter)()
    return hooks
