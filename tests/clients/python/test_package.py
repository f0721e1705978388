"""What is published: a wheel that works by itself, and a source archive that builds it."""

import ast
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import agentrun_client

ROOT = Path(__file__).resolve().parents[3]
PROJECT = ROOT / "clients/python"
SOURCE = PROJECT / "src/agentrun_client"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build both in a folder of their own, with the builder that is installed."""
    folder = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)
    return folder


def test_the_wheel_has_all_of_the_package_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        (licence,) = [name for name in archive.namelist() if name.endswith("/LICENSE")]
        assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()
    sources = [*SOURCE.rglob("*.py"), SOURCE / "py.typed"]
    assert names == {path.relative_to(SOURCE.parent).as_posix() for path in sources}


def test_the_wheel_needs_httpx_and_what_comes_with_it_alone(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        told = Parser().parsestr(archive.read(metadata).decode())
    assert told["Version"] == agentrun_client.__version__
    assert told["Requires-Python"] == ">=3.11"
    assert told.get_all("Requires-Dist") == ["anyio>=4.4", "httpx-sse>=0.4.3", "httpx>=0.28"]


def test_the_wheel_is_used_without_the_project(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    program = f"import sys; sys.path.insert(0, {str(wheel)!r}); import agentrun_client as a; "
    program += "assert '.whl' in a.__file__, a.__file__; print(a.Client('https://a.example'))"
    command = [sys.executable, "-W", "error", "-P", "-c", program]
    found = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert found.stdout == "Client('https://a.example')\n"


def test_the_source_archive_has_what_builds_the_wheel(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "src/agentrun_client/py.typed"} <= names
    assert not {name for name in names if name.startswith("tests")}


def test_all_that_is_exported_is_named_once() -> None:
    assert sorted(agentrun_client.__all__) == sorted(set(agentrun_client.__all__))
    for name in agentrun_client.__all__:
        assert getattr(agentrun_client, name) is not None


def test_both_clients_offer_the_same() -> None:
    """Compare signatures in the source: names, and arguments with their defaults."""
    for name in ("runs", "resources", "client", "stream", "transport"):
        blocking, awaited = (methods_of(SOURCE / room / f"{name}.py") for room in ("sync", "aio"))
        assert blocking == awaited, name


SAME = {"aclose": "close", "__aenter__": "__enter__", "__aexit__": "__exit__"}
SAME |= {"__aiter__": "__iter__", "__anext__": "__next__"}


def methods_of(path: Path) -> list[tuple[str, list[str], list[str]]]:
    found = []
    for each in ast.parse(path.read_text()).body:
        for method in each.body if isinstance(each, ast.ClassDef) else ():
            if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
                arguments = method.args
                names = [arg.arg for arg in (*arguments.args, *arguments.kwonlyargs)]
                defaults = [*arguments.defaults, *filter(None, arguments.kw_defaults)]
                shown = [ast.unparse(default) for default in defaults]
                found.append((SAME.get(method.name, method.name), names, shown))
    return found
