"""A newer framework's changes come into a project, and the user's own stay."""

from pathlib import Path

import pytest

from agentrun_local.cli import main
from agentrun_project import followed, rendering, upgrading
from agentrun_project.creating import create_project

BOUND = "    # One item counts all runs of an organisation, and takes no more writes.\n"
"""A line of the template that the newer version changes."""


class Framework:
    """Stands for the installed framework: which version it is, and what its template says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.version = "1.0"
        self.changes: dict[str, tuple[str, str]] = {}
        self.gone: set[str] = set()
        real = rendering.followed_files

        def files(name: str) -> dict[str, str]:
            return {
                path: text.replace(*self.changes.get(path, ("", "")))
                if path in self.changes
                else text
                for path, text in real(name).items()
                if path not in self.gone
            }

        for module in (followed, upgrading):
            monkeypatch.setattr(module, "framework_version", lambda: self.version)
        monkeypatch.setattr(upgrading, "followed_files", files)

    def release(self, **changes: tuple[str, str]) -> None:
        self.version = "2.0"
        self.changes = {name.replace("_", "."): change for name, change in changes.items()}


@pytest.fixture
def framework(monkeypatch: pytest.MonkeyPatch) -> Framework:
    return Framework(monkeypatch)


@pytest.fixture
def project(framework: Framework, tmp_path: Path) -> Path:
    create_project(tmp_path / "shop")
    return tmp_path / "shop"


def upgrade(project: Path, *options: str) -> int:
    return main(["upgrade", "--project", str(project), *options])


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def contents(project: Path) -> dict[str, str]:
    return {
        path.relative_to(project).as_posix(): path.read_text(encoding="utf-8")
        for path in project.rglob("*")
        if path.is_file()
    }


def test_there_is_nothing_to_do_for_the_version_that_made_it(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(project / "template.yaml", "Default: 1024", "Default: 2048")
    assert upgrade(project) == upgrade(project, "--check") == 0
    assert "Nothing to do" in capsys.readouterr().out


def test_what_is_new_comes_in_and_the_users_edits_stay(
    project: Path, framework: Framework, capsys: pytest.CaptureFixture[str]
) -> None:
    template = project / "template.yaml"
    edit(template, "Default: 1024", "Default: 2048")
    framework.release(template_yaml=(BOUND, "    # As many as fit.\n"))
    assert upgrade(project) == 0
    said = capsys.readouterr().out
    assert f"-{BOUND}+    # As many as fit.\n" in said
    assert "Default: 2048" not in said
    text = template.read_text(encoding="utf-8")
    assert "    # As many as fit.\n" in text
    assert "Default: 2048" in text
    assert BOUND not in text
    after = contents(project)
    assert upgrade(project) == upgrade(project, "--check") == 0
    assert contents(project) == after


def test_check_writes_nothing(project: Path, framework: Framework) -> None:
    framework.release(template_yaml=(BOUND, ""))
    before = contents(project)
    assert upgrade(project, "--check") == 1
    assert contents(project) == before


def test_a_conflict_is_marked_and_not_touched_again_until_it_is_settled(
    project: Path, framework: Framework, capsys: pytest.CaptureFixture[str]
) -> None:
    template = project / "template.yaml"
    edit(template, BOUND, "    # Mine.\n")
    framework.release(template_yaml=(BOUND, "    # Theirs.\n"))
    line = template.read_text(encoding="utf-8").splitlines().index("    # Mine.") + 1
    assert upgrade(project) == 1
    assert f"template.yaml:{line}: you and the framework changed it" in capsys.readouterr().out
    text = template.read_text(encoding="utf-8")
    marked = "<<<<<<< yours\n    # Mine.\n=======\n    # Theirs.\n>>>>>>> agentrun-serverless 2.0\n"
    assert marked in text
    assert upgrade(project) == upgrade(project, "--check") == 1
    assert template.read_text(encoding="utf-8") == text
    assert f"template.yaml:{line}: a conflict is not settled yet" in capsys.readouterr().err
    edit(template, marked, "    # Ours.\n")
    assert upgrade(project) == 0
    assert "    # Ours.\n" in template.read_text(encoding="utf-8")


def test_an_upgrade_that_breaks_off_can_be_done_again(
    project: Path, framework: Framework, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = project / "template.yaml"
    edit(template, "Default: 1024", "Default: 2048")
    framework.release(template_yaml=(BOUND, "    # As many as fit.\n"))
    write_text = Path.write_text

    def full(path: Path, text: str, encoding: str) -> int:
        if ".framework/base" in path.as_posix():
            write_text(path, text[:10], encoding=encoding)
            raise OSError(28, "No space left on device", str(path))
        return write_text(path, text, encoding=encoding)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        assert upgrade(project) == 1
    written = template.read_text(encoding="utf-8")
    assert upgrade(project) == 0
    assert template.read_text(encoding="utf-8") == written
    assert "    # As many as fit.\n" in written
    assert not [path for path in contents(project) if path.endswith(".new")]


def test_a_deleted_file_stays_deleted_and_a_new_one_comes(
    project: Path, framework: Framework, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "Makefile").unlink()
    base = project / ".framework/base/samconfig.toml.base"
    base.unlink()
    settings = (project / "samconfig.toml").read_text(encoding="utf-8")
    (project / "samconfig.toml").unlink()
    framework.release(Makefile=("setup", "prepare"))
    assert upgrade(project) == 0
    assert "Makefile: you have deleted it" in capsys.readouterr().out
    assert not (project / "Makefile").exists()
    assert (project / "samconfig.toml").read_text(encoding="utf-8") == settings


def test_what_the_framework_no_longer_writes_goes_unless_it_was_changed(
    project: Path, framework: Framework
) -> None:
    framework.release()
    framework.gone = {"Makefile", ".gitignore"}
    edit(project / "Makefile", "help", "aid")
    assert upgrade(project) == 0
    assert not (project / ".gitignore").exists()
    assert "aid" in (project / "Makefile").read_text(encoding="utf-8")


def test_a_folder_that_is_no_project_is_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert upgrade(tmp_path) == 1
    assert "is not a project that agentrun init has made" in capsys.readouterr().err
