"""The exec wrapper's path, with Lambda's variables and without."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.lambda_runtime.process import ROOT

WRAPPER = ROOT / "layers" / "streaming" / "bootstrap"


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({}, "/var/task:/opt/python"),
        ({"LAMBDA_RUNTIME_DIR": "/var/runtime"}, "/var/task:/opt/python:/var/runtime"),
        ({"LAMBDA_TASK_ROOT": "/src", "PYTHONPATH": "/lib"}, "/src:/opt/python:/lib"),
    ],
)
def test_the_wrapper_puts_the_function_first_and_runs_the_package(
    tmp_path: Path, environment: dict[str, str], path: str
) -> None:
    interpreter = tmp_path / "python3"
    interpreter.write_text('#!/bin/sh\necho "$PYTHONPATH" "$@"\n')
    interpreter.chmod(0o755)
    found = subprocess.run(
        [WRAPPER, interpreter, "/var/runtime/bootstrap.py"],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        check=True,
        text=True,
    )
    assert found.stdout == f"{path} -m lambda_asgi\n"
    assert found.stderr == ""
