"""
Build a layer or a function as Lambda expects it; `sam build` runs this through the Makefiles.

A checkout runs the file itself, so it needs nothing but the standard library and, for packages, uv.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_SHIPPED = _PACKAGE / "files"
IS_INSTALLED = _SHIPPED.is_dir()
ROOT = _SHIPPED if IS_INSTALLED else _PACKAGE.parents[1]
"""The folder of functions, layers, locks and the template: a checkout, or a part of the wheel."""
LAYERS = ROOT / "layers"
LOCKS = ROOT / "requirements"
# What each layer contains besides its requirements: packages, and other files.
CONTENTS: dict[str, tuple[str, ...]] = {
    "core": ("agentrun",),
    "engine": ("agent_catalog",),
    "agents": ("agents", "tools"),
    "streaming": ("lambda_asgi", "bootstrap"),
    "providers": (),
}
SITE = "playground"
"""The layer that has no packages, but the playground's built files."""
# Beside this package in a checkout and in the wheel, and where the function looks for them.
_BUILT_SITE = _PACKAGE.parent / "agentrun_local/playground/static"
_SITE_FOLDER = "playground_files"
# The layers that are always attached beside one, whose requirements it need not contain.
BESIDE = {
    "engine": ("core",),
    "agents": ("core", "engine"),
    "streaming": ("core",),
    "providers": ("core", "engine"),
}
# The runtime is Amazon Linux 2023 with glibc 2.34, which runs wheels up to manylinux_2_34.
PLATFORMS = {"arm64": "aarch64-manylinux_2_34", "x86_64": "x86_64-manylinux_2_34"}
RUNTIME = (3, 13)
# What docs_assistant searches, and the folder that it finds them in when deployed.
DOCUMENTS = ("README.md", "CHANGELOG.md", "docs")
DOCUMENTS_FOLDER = "knowledge"
# botocore describes every AWS service, in 25 MB, and boto3 the resources of some; only these are
# called.
BOTOCORE_SERVICES = frozenset(
    {"bedrock-runtime", "dynamodb", "s3", "secretsmanager", "sqs", "ssm", "sts"}
)
# Scripts contain the path of the interpreter that installed them, and RECORD their hashes.
LEFT_OUT = (
    "bin",
    ".lock",
    # For the documentation of botocore.
    "boto*/data/*/*/examples-1.json",
    # For type checkers; some packages of tools do read their own.
    "logfire_api/**/*.pyi",
    "*/testsuite",
    # For engines of workflows, which run agents in workers of their own.
    "pydantic_ai/durable_exec/dbos",
    "pydantic_ai/durable_exec/prefect",
    "pydantic_ai/durable_exec/temporal",
    "*.dist-info/RECORD",
    "*.dist-info/INSTALLER",
    "*.dist-info/REQUESTED",
)


def without(lock: str, provided: str) -> str:
    """
    Remove from a hashed requirement file what another one already installs.

    Raises:
        ValueError: The two pin different versions of a package.
    """
    pins = {name_of(block): pin_of(block) for block in blocks_of(provided)}
    kept = []
    for block in blocks_of(lock):
        pin = pins.get(name_of(block))
        if pin is None:
            kept.append(block)
        elif pin != pin_of(block):
            raise ValueError(f"{pin_of(block)} and {pin} cannot be layered; run `make lock`")
    return "".join(kept)


def blocks_of(lock: str) -> Iterator[str]:
    """Yield each requirement of a hashed file with the lines of its hashes."""
    return (match[0] for match in re.finditer(r"^\w.*\n(?:[ \t].*\n)*", lock, re.MULTILINE))


def name_of(block: str) -> str:
    """Return the name of the package that a requirement pins."""
    return re.split(r"[\[=; ]", block, maxsplit=1)[0]


def pin_of(block: str) -> str:
    """Return a requirement without its hashes: `six==1.17 ; sys_platform != 'win32'`."""
    return block.splitlines()[0].rstrip(" \\")


def layer_lock(name: str) -> str:
    """Return a layer's requirements without those of the layers attached beside it."""
    lock = (LOCKS / f"{name}.txt").read_text()
    for other in BESIDE.get(name, ()):
        lock = without(lock, (LOCKS / f"{other}.txt").read_text())
    return lock


def install(lock: str, target: Path, platform: str) -> None:
    """
    Unpack a lock's wheels into `target`, for Lambda's platform rather than this machine's.

    With uv, because pip evaluates markers for the interpreter that it runs on.
    """
    if find_spec("uv") is None:
        sys.exit(f"{sys.executable} has no uv; run `make setup` first, it puts one into .venv")
    with tempfile.TemporaryDirectory() as scratch:
        requirements = Path(scratch) / "requirements.txt"
        requirements.write_text(lock)
        command = [
            *(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", sys.executable),
            *("--python-platform", platform, "--python-version", ".".join(map(str, RUNTIME))),
            *("--only-binary", ":all:", "--require-hashes", "--no-deps", "--link-mode", "copy"),
            *("--target", str(target), "--requirements", str(requirements)),
        ]
        subprocess.run(command, check=True)


def prune(target: Path) -> None:
    """Remove what differs between machines, and what no function reads."""
    services = (path for path in target.glob("boto*/data/*") if path.is_dir())
    unused = (path for path in services if path.name not in BOTOCORE_SERVICES)
    _remove(unused)
    for pattern in LEFT_OUT:
        _remove(target.glob(pattern))


def _remove(paths: Iterable[Path]) -> None:
    for path in list(paths):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def copy(source: Path, target: Path) -> None:
    """Copy a file or a package, without this machine's Python caches."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    else:
        shutil.copy(source, target)


def copy_documents(target: Path) -> None:
    """Copy the pages of the documentation, which are elsewhere in a checkout, without pictures."""
    for document in DOCUMENTS:
        page = ROOT / document
        for source in sorted(page.rglob("*.md")) if page.is_dir() else [page]:
            if source.exists():
                copied = target / source.relative_to(ROOT)
                copied.parent.mkdir(parents=True, exist_ok=True)
                copy(source, copied)


def compile_sources(root: Path, deployed_at: str) -> None:
    """
    Write the .pyc files, which Lambda cannot write because its code is mounted read-only.

    They contain the deployed paths, and the hash seed is fixed, so that builds are reproducible.
    They are not checked against their sources at run time, which saves a stat and a read of each.
    """
    python = runtime_python()
    if python is None:
        version = ".".join(map(str, RUNTIME))
        # sam build shows a Makefile's standard output, but not its standard error.
        sys.stdout.write(
            f"No Python {version} on PATH or under pyenv: built without .pyc files, so that every"
            f" cold start compiles its imports, about 2 s. Install one (`pyenv install {version}`)"
            " and build again.\n"
        )
        return
    command = [
        *(python, "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash"),
        *("-s", str(root), "-p", deployed_at, str(root)),
    ]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    subprocess.run(command, check=True, env=environment)


def runtime_python() -> str | None:
    """Return an interpreter of the runtime's minor version, which loads only its own .pyc files."""
    name = "python{}.{}".format(*RUNTIME)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    installed = sorted(pyenv.glob("{}.{}.*/bin/python".format(*RUNTIME)))
    for python in (sys.executable, shutil.which(name), *map(str, installed)):
        if python and _version(python) == RUNTIME:
            return python
    return None


def _version(python: str) -> tuple[int, ...] | None:
    """Return an interpreter's minor version; None if it does not start, as an unset pyenv shim."""
    command = [python, "-c", "import sys; print(*sys.version_info[:2])"]
    answer = subprocess.run(command, check=False, capture_output=True, text=True)
    return tuple(map(int, answer.stdout.split())) if answer.returncode == 0 else None


def build_layer(
    name: str, artifacts: Path, architecture: str, *, room: Path | None = None, lock: str = ""
) -> None:
    """
    Put requirements and packages under `python/`, which is on the path in /opt.

    Args:
        name: The layer.
        artifacts: An empty folder, which becomes the layer.
        architecture: One of `PLATFORMS`.
        room: A folder that has the layer's parts; by default its own.
        lock: The hashed requirements of what is in that folder.
    """
    python = artifacts / "python"
    python.mkdir(parents=True)
    if name == SITE:
        copy(_BUILT_SITE, python / _SITE_FOLDER)
        return
    install(lock if room else layer_lock(name), python, PLATFORMS[architecture])
    prune(python)
    for part in CONTENTS[name]:
        source = room / part if room else part_of(name, part)
        copy(source, (python if source.is_dir() else artifacts) / part)
    if name == "agents" and room is None:
        copy_documents(python / DOCUMENTS_FOLDER)
    compile_sources(artifacts, "/opt")


def part_of(layer: str, part: str) -> Path:
    """Return where a part of a layer is: in its folder, or installed beside this package."""
    in_its_folder = LAYERS / layer / part
    return in_its_folder if in_its_folder.exists() else _PACKAGE.parent / part


def build_function(name: str, artifacts: Path) -> None:
    """Copy the handler's module; everything else comes from the layers."""
    copy(ROOT / "functions" / name / "app.py", artifacts / "app.py")
    compile_sources(artifacts, "/var/task")


def part_named(logical_id: str) -> tuple[str, str]:
    """
    Return what a resource of the template is built from: `layer` or `function`, and its name.

    Raises:
        ValueError: The framework has nothing of that name.
    """
    kind = "layer" if logical_id.endswith("Layer") else "function"
    name = logical_id.removesuffix(kind.capitalize()).lower()
    if not (ROOT / "functions" / name / "app.py").is_file() and name not in {*CONTENTS, SITE}:
        raise ValueError(f"the framework has no {logical_id}")
    return kind, name


def build_part(resource: str, artifacts: Path, architecture: str) -> None:
    """
    Build what a resource of the template is made of, from the framework alone.

    Raises:
        ValueError: The framework has nothing of that name.
    """
    kind, name = part_named(resource)
    if kind == "layer":
        build_layer(name, artifacts, architecture)
    else:
        build_function(name, artifacts)


def command_line() -> argparse.ArgumentParser:
    """Return what reads the arguments of a build."""
    parser = argparse.ArgumentParser()
    parser.add_argument("resource", help="a function or layer, by its name in the template")
    parser.add_argument("artifacts", type=Path, help="the folder that `sam build` packs")
    parser.add_argument("--architecture", choices=sorted(PLATFORMS), default="arm64")
    return parser


if __name__ == "__main__":
    build_part(**vars(command_line().parse_args()))
