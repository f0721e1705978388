"""The packages as others install them: typed, and with the licence."""

import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from agentrun_project import build

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = [
    ROOT / package for package in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a wheel that is built now, by name."""
    folder = tmp_path_factory.mktemp("wheel")
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_every_package_of_the_wheel_says_that_it_is_typed(
    package: Path, shipped: dict[str, bytes]
) -> None:
    assert f"{package.name}/py.typed" in shipped


@pytest.mark.parametrize("name", ["core", "engine", "streaming"])
def test_every_package_of_the_framework_says_in_its_layer_that_it_is_typed(
    name: str, tmp_path: Path
) -> None:
    package = build.CONTENTS[name][0]
    build.copy(build.LAYERS / name / package, tmp_path / package)
    assert (tmp_path / package / "py.typed").exists()


def test_the_wheel_has_the_licence_that_its_metadata_names(shipped: dict[str, bytes]) -> None:
    folder = f"agentrun_serverless-{PROJECT['project']['version']}.dist-info"
    assert b"\nLicense-Expression: Apache-2.0\n" in shipped[f"{folder}/METADATA"]
    assert shipped[f"{folder}/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()


def test_the_wheel_has_what_projects_are_made_and_built_from(shipped: dict[str, bytes]) -> None:
    files = {
        name.removeprefix("agentrun_project/files/"): content
        for name, content in shipped.items()
        if name.startswith("agentrun_project/files/")
    }
    assert {name: (ROOT / name).read_bytes() for name in files} == files
    handlers = {f"functions/{path.parent.name}/app.py" for path in ROOT.glob("functions/*/app.py")}
    locks = {f"requirements/{layer}.txt" for layer in build.CONTENTS if layer != "agents"}
    assert len(handlers) == 6
    assert {"template.yaml", "layers/streaming/bootstrap", *handlers, *locks} <= set(files)
    # The users' rooms of this repository are no part of the framework.
    assert [name for name in shipped if name.startswith(("tools/", "agents/", "tests/"))] == []


def test_a_projects_skeleton_is_in_the_wheel(shipped: dict[str, bytes]) -> None:
    skeleton = ROOT / "local/agentrun_project/skeleton"
    names = {
        path.relative_to(skeleton).as_posix() for path in skeleton.rglob("*") if path.is_file()
    }
    names = {name for name in names if "__pycache__" not in name}
    assert len(names) >= 12
    assert {f"agentrun_project/skeleton/{name}" for name in names} <= set(shipped)


def test_an_editable_install_takes_no_copies(tmp_path: Path) -> None:
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["editable"])
    with zipfile.ZipFile(wheel) as archive:
        assert [name for name in archive.namelist() if "agentrun_project" in name] == []
