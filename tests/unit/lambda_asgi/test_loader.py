"""Loading the handler; how Lambda is told of failures is for the integration tests."""

import sys
from pathlib import Path

import pytest

from lambda_asgi.errors import InitError
from lambda_asgi.loader import load_app


def _module(folder: Path, name: str, source: str) -> Path:
    folder.mkdir()
    (folder / f"{name}.py").write_text(source)
    return folder


def test_the_functions_own_modules_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = _module(tmp_path / "layer", "loader_probe", "async def app(*_): 'layer'")
    task_root = _module(tmp_path / "task", "loader_probe", "async def app(*_): 'task'")
    monkeypatch.setattr(sys, "path", [str(layer), *sys.path])
    try:
        app = load_app("loader_probe.app", str(task_root))
    finally:
        sys.modules.pop("loader_probe")
    assert app.__doc__ == "task"


def test_what_cannot_be_called_is_no_handler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_root = _module(tmp_path / "task", "loader_probe", "app = 3")
    monkeypatch.setattr(sys, "path", [*sys.path])
    try:
        with pytest.raises(InitError, match="not callable"):
            load_app("loader_probe.app", str(task_root))
    finally:
        sys.modules.pop("loader_probe")
