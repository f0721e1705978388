"""What goes into a layer, and what is left out of it."""

from pathlib import Path

import pytest

from agentrun_project import build
from tools import search

CORE = """\
boto3==1.2 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
six==1.17 \\
    --hash=sha256:cc
"""
MORE = """\
boto3==1.2 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
six-more[extra]==3 ; python_full_version >= '3.12' \\
    --hash=sha256:dd \\
    --hash=sha256:ee
"""


def test_a_layer_leaves_out_what_the_core_layer_brings() -> None:
    assert build.without(MORE, CORE) == "".join(MORE.splitlines(keepends=True)[3:])


def test_a_layer_cannot_need_another_version_than_the_core_layer_brings() -> None:
    with pytest.raises(ValueError, match=r"boto3==1\.3 and boto3==1\.2"):
        build.without(MORE.replace("1.2", "1.3"), CORE)


@pytest.mark.parametrize("name", build.CONTENTS)
def test_every_requirement_of_a_layer_has_its_hashes(name: str) -> None:
    lines = build.layer_lock(name).splitlines()
    assert lines
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        assert line.endswith("\\") == following.startswith("    --hash=sha256:")


def test_the_layer_of_other_providers_has_their_clients_and_no_tokenizer() -> None:
    names = {build.name_of(block) for block in build.blocks_of(build.layer_lock("providers"))}
    assert {"anthropic", "openai"} <= names
    beside = "".join(map(build.layer_lock, ("core", "engine", "agents")))
    assert names.isdisjoint({"tiktoken"} | {build.name_of(b) for b in build.blocks_of(beside)})


def test_the_streaming_layer_adds_nothing_but_what_speaks_http() -> None:
    assert build.layer_lock("streaming").startswith("h11==")
    assert build.layer_lock("streaming").count("==") == 1


@pytest.mark.parametrize("package", ["boto3", "botocore"])
def test_pruning_keeps_the_services_that_are_called(tmp_path: Path, package: str) -> None:
    services = tmp_path / package / "data"
    for name in ("dynamodb", "ec2"):
        (services / name).mkdir(parents=True)
    (services / "endpoints.json").touch()
    build.prune(tmp_path)
    assert {path.name for path in services.iterdir()} == {"dynamodb", "endpoints.json"}


def test_pruning_leaves_out_the_examples_of_a_service(tmp_path: Path) -> None:
    version = tmp_path / "botocore" / "data" / "sqs" / "2012-11-05"
    version.mkdir(parents=True)
    for name in ("examples-1.json", "service-2.json.gz"):
        (version / name).touch()
    build.prune(tmp_path)
    assert [path.name for path in version.iterdir()] == ["service-2.json.gz"]


def test_pruning_removes_what_names_the_machine_that_built(tmp_path: Path) -> None:
    installed = tmp_path / "pint-1.dist-info"
    for path in (tmp_path / "bin" / "pint-convert", installed / "RECORD", installed / "METADATA"):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    build.prune(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [installed / "METADATA"]


def test_a_package_is_copied_without_the_caches_of_this_machine(tmp_path: Path) -> None:
    source = tmp_path / "package"
    (source / "__pycache__").mkdir(parents=True)
    (source / "__pycache__" / "module.cpython-311.pyc").touch()
    (source / "module.py").touch()
    build.copy(source, tmp_path / "copy")
    assert [path.name for path in (tmp_path / "copy").rglob("*")] == ["module.py"]


def test_the_documents_are_shipped_to_where_the_search_tool_looks(tmp_path: Path) -> None:
    assert search._SHIPPED == search._ROOM / build.DOCUMENTS_FOLDER
    target = tmp_path / build.DOCUMENTS_FOLDER
    build.copy_documents(target)
    assert {path.suffix for path in target.rglob("*") if path.is_file()} == {".md"}
    shipped = {path.relative_to(target) for path in search.document_files(target)}
    assert shipped == {path.relative_to(build.ROOT) for path in search.document_files(build.ROOT)}


def test_a_build_without_the_runtimes_python_says_what_it_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build, "runtime_python", lambda: None)
    build.compile_sources(tmp_path, "/opt")
    assert "No Python 3.13" in capsys.readouterr().out


def test_the_playgrounds_layer_has_its_built_files_where_the_function_looks(tmp_path: Path) -> None:
    build.build_layer(build.SITE, tmp_path, "arm64")
    (folder,) = (tmp_path / "python").iterdir()
    shipped = build.ROOT / "local/agentrun_local/playground/static"
    files = {path.relative_to(shipped) for path in shipped.rglob("*") if path.is_file()}
    assert {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()} == files
    handler = (build.ROOT / "functions/playground/app.py").read_text(encoding="utf-8")
    assert f'\nFILES = "{folder.name}"\n' in handler
