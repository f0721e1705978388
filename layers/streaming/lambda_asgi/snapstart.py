"""SnapStart's hooks around a snapshot, run as by the managed runtime."""

import importlib
from collections.abc import Callable
from typing import Any

_Hook = tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]


def run_before_snapshot() -> None:
    """Run the hooks that `snapshot_restore_py` has for before the snapshot, last one first."""
    for hook, args, kwargs in reversed(_registered("get_before_snapshot")):
        hook(*args, **kwargs)


def run_after_restore() -> None:
    """Run the hooks that `snapshot_restore_py` has for after the restore, in order."""
    for hook, args, kwargs in _registered("get_after_restore"):
        hook(*args, **kwargs)


def _registered(getter: str) -> list[_Hook]:
    try:
        registry = importlib.import_module("snapshot_restore_py")
    except ImportError:
        return []
    hooks: list[_Hook] = getattr(registry, getter)()
    return hooks
