"""What `sam build` leaves: built from a copy of the sources, read as Lambda would lay it out."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# samtranslator ships no types.
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parents[2]
ARCHITECTURE = {"x86_64": "x86_64", "aarch64": "arm64"}.get(platform.machine(), "")
LAYERS = ("CoreLayer", "EngineLayer", "AgentsLayer", "StreamingLayer", "ProvidersLayer")
FUNCTIONS = ("StreamFunction", "StatusFunction", "WorkerFunction", "AuthorizerFunction")
BUILT = (*FUNCTIONS, "WebhookFunction")
"""The last one is deployed only where there is a secret that signs."""
PLAYGROUND = ("PlaygroundFunction", "PlaygroundLayer")
"""Deployed only where they are asked for; the layer has no module."""
SOURCES = (
    *("clients/python", "functions", "layers", "local/agentrun_project", "requirements", "docs"),
    "local/agentrun_local/playground/static",
    *("README.md", "CHANGELOG.md", "template.yaml", "samconfig.toml", "pyproject.toml"),
)

# Runs one event, as far as a handler can tell, in Lambda; tells where its modules come from.
INVOKE = """
import json, sys
real, sys.stdout = sys.stdout, sys.stderr
from app import handler
class Context:
    def get_remaining_time_in_millis(self):
        return 60_000
answer = handler(json.load(sys.stdin), Context())
files = [getattr(module, "__file__", None) for module in sys.modules.values()]
json.dump({"answer": answer, "files": [file for file in files if file]}, real)
real.flush()
"""


@dataclass(frozen=True)
class Artefacts:
    """A built copy of the project."""

    project: Path

    @property
    def build(self) -> Path:
        return self.project / ".aws-sam" / "build"

    def folder(self, logical_id: str) -> Path:
        """Name the folder that becomes a function's or a layer's archive."""
        return self.build / logical_id

    def layers(self, function: str, *, conditional: bool = False) -> list[str]:
        """Name a function's layers in Lambda's order, those under a condition only if asked for."""
        template = yaml_parse((self.build / "template.yaml").read_text())
        attached: Any = template["Resources"][function]["Properties"]["Layers"]
        if isinstance(attached, dict):
            _, with_all, without = attached["Fn::If"]
            attached = with_all if conditional else without
        return [layer["Ref"] for layer in attached]

    def python_path(self, function: str, *, conditional: bool = False) -> str:
        """Return what stands for /opt/python."""
        names = self.layers(function, conditional=conditional)
        return os.pathsep.join(str(self.folder(name) / "python") for name in names)

    def digest(self, logical_id: str) -> str:
        """Hash names, modes and contents of all files; two equal artefacts have the same."""
        folder = self.folder(logical_id)
        total = hashlib.sha256()
        for path in self.files(logical_id):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            mode = path.stat().st_mode
            total.update(f"{path.relative_to(folder)} {mode:o} {content}\n".encode())
        return total.hexdigest()

    def files(self, logical_id: str) -> list[Path]:
        return sorted(path for path in self.folder(logical_id).rglob("*") if path.is_file())

    def size_bytes(self, logical_id: str) -> int:
        return sum(path.stat().st_size for path in self.files(logical_id))


def sam(*arguments: str, project: Path, **environment: str) -> str:
    """Run SAM CLI in a copy of the project, as docs/deploy.md says; gives what it printed."""
    variables = {**os.environ, "SAM_CLI_TELEMETRY": "0", "ARCH": ARCHITECTURE, **environment}
    command = [sys.executable, "-m", "samcli", *arguments]
    done = subprocess.run(
        command, cwd=project, env=variables, capture_output=True, text=True, check=False
    )
    # The end of it: an upload reports each quarter of a megabyte.
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


def copy_sources(project: Path, source: Path = ROOT) -> None:
    """Copy what a clone has, as far as a build needs it, into an empty folder."""
    for name in SOURCES:
        if (source / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
            shutil.copytree(source / name, project / name, ignore=ignored)
        else:
            shutil.copy(source / name, project / name)
    (project / ".venv").symlink_to(sys.prefix)


def build(project: Path, source: Path = ROOT) -> Artefacts:
    """Copy what a clone has into a folder, and build there."""
    copy_sources(project, source)
    sam("build", project=project)
    return Artefacts(project)


def lambda_environment(
    built: Artefacts, function: str, given: dict[str, str], *, conditional: bool = False
) -> dict[str, str]:
    """Return the variables that a built function is run with, and no others of this machine."""
    path = built.python_path(function, conditional=conditional)
    return {
        **{name: os.environ[name] for name in ("AWS_REGION", "AWS_DEFAULT_REGION")},
        **{name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")},
        "LAMBDA_TASK_ROOT": str(built.folder(function)),
        "PYTHONPATH": f"{built.folder(function)}{os.pathsep}{path}",
        **given,
    }


def invoke(
    runtime: str,
    built: Artefacts,
    function: str,
    event: Mapping[str, Any],
    environment: dict[str, str],
    *,
    conditional: bool = False,
) -> dict[str, Any]:
    """Hand an event to a built function's handler; return its answer and its modules' files."""
    # -S: nothing but the standard library, whatever that interpreter has installed.
    done = subprocess.run(
        [runtime, "-S", "-c", INVOKE],
        input=json.dumps(event),
        env=lambda_environment(built, function, environment, conditional=conditional),
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result
