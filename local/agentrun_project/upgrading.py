"""`agentrun upgrade`: what a newer framework changes in the files that it has written."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

from agentrun_project.errors import ProjectError
from agentrun_project.followed import Followed, remember, remembered
from agentrun_project.merging import conflict_lines, merge, unsettled_lines
from agentrun_project.rendering import followed_files, framework_version


@dataclass(frozen=True)
class Change:
    """
    What becomes of one file: its text before and after, None where there is no file.

    `conflicts` are the lines of the new text at which somebody has to decide, and `note` is
    something else that the user should know.
    """

    path: str
    before: str | None
    after: str | None
    conflicts: tuple[int, ...] = ()
    note: str = ""

    @property
    def diff(self) -> str:
        """The difference, as `diff -u` shows it."""
        old, new = (text or "" for text in (self.before, self.after))
        lines = unified_diff(
            old.splitlines(keepends=True),
            new.splitlines(keepends=True),
            f"a/{self.path}",
            f"b/{self.path}",
        )
        return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


@dataclass(frozen=True)
class Upgrade:
    """A project's way from the version that last wrote its files to the installed one."""

    project: Path
    followed: Followed
    to: str
    changes: tuple[Change, ...]

    @property
    def is_needed(self) -> bool:
        """Whether the framework has anything new for the project."""
        return self.followed_files != self.followed.files or self.followed.version != self.to

    @property
    def followed_files(self) -> dict[str, str]:
        """What the installed framework writes."""
        return followed_files(self.followed.name)

    def apply(self) -> None:
        """
        Write the files, and keep what the framework wrote as the base of the next upgrade.

        Raises:
            ProjectError: A file cannot be written.
        """
        try:
            for change in self.changes:
                target = self.project / change.path
                if change.after is None:
                    target.unlink(missing_ok=True)
                elif change.after != change.before:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_text(change.after, encoding="utf-8")
            remember(self.project, self.followed.name, self.followed_files)
        except OSError as error:
            raise ProjectError(f"Cannot write {error.filename}: {error.strerror}.") from error


def plan_upgrade(project: Path) -> Upgrade:
    """
    Work out what the installed framework changes in a project; nothing is written.

    The user's own changes stay: each file is merged with what the framework wrote last time as the
    common base.

    Raises:
        ProjectError: The folder is no project, or a file has conflicts of an earlier upgrade.
    """
    followed = remembered(project)
    to = framework_version()
    new = followed_files(followed.name)
    _check_settled(project, sorted({*new, *followed.files}))
    changes = _changes(project, followed, new, to)
    return Upgrade(project, followed, to, tuple(changes))


def _changes(
    project: Path, followed: Followed, new: dict[str, str], version: str
) -> Iterator[Change]:
    for path in sorted({*new, *followed.files}):
        base, theirs = followed.files.get(path), new.get(path)
        if base == theirs:
            continue
        ours = _text(project / path)
        if theirs is None:
            yield _no_longer_written(path, ours, base)
        elif ours is None and base is not None:
            yield Change(path, None, None, note="you have deleted it: what is new is left out")
        else:
            merged = merge(base or "", ours or "", theirs, version)
            after = theirs if ours is None else merged.text
            yield Change(path, ours, after, tuple(conflict_lines(after)))


def _no_longer_written(path: str, ours: str | None, base: str | None) -> Change:
    if ours in (base, None):
        return Change(path, ours, None)
    return Change(path, ours, ours, note="no longer the framework's, and changed by you: it stays")


def _check_settled(project: Path, paths: list[str]) -> None:
    found = [
        f"{path}:{line}: a conflict is not settled yet"
        for path in paths
        for line in unsettled_lines(_text(project / path) or "")
    ]
    if found:
        raise ProjectError("\n".join([*found, "Settle it, remove its marks, and try again."]))


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(f"Cannot read {path}: {error}.") from error


def run_upgrade(project: Path, *, check: bool) -> int:
    """
    Show what the installed framework changes in a project and, unless only asked, apply it.

    Args:
        project: The folder.
        check: Whether to write nothing, and to return 1 if there is anything to do.

    Returns:
        The exit status: 1 for conflicts that somebody has to settle.

    Raises:
        ProjectError: The folder is no project, or a file has conflicts of an earlier upgrade.
    """
    upgrade = plan_upgrade(project)
    if not upgrade.is_needed:
        print(f"Nothing to do: the files are those of agentrun-serverless {upgrade.to}.")
        return 0
    for change in upgrade.changes:
        print(change.diff or f"{change.path}: {change.note}", end="" if change.diff else "\n")
        if change.diff and change.note:
            print(f"{change.path}: {change.note}")
    if check:
        print(f"agentrun upgrade brings the project to agentrun-serverless {upgrade.to}.")
        return 1
    upgrade.apply()
    return _told(upgrade)


def _told(upgrade: Upgrade) -> int:
    conflicts = [f"{c.path}:{line}" for c in upgrade.changes for line in c.conflicts]
    where = f"{upgrade.followed.version} to {upgrade.to}"
    if conflicts:
        marked = "\n".join(f"{place}: you and the framework changed it" for place in conflicts)
        print(f"{marked}\nUpgraded from {where}, but for these: choose there, remove the marks.")
        return 1
    print(f"Upgraded from {where}. Look at it with git diff, and commit .framework as well.")
    return 0
