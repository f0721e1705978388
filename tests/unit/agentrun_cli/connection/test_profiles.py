"""The file of profiles is read strictly, and edited without losing what is not ours."""

from pathlib import Path

import pytest

from agentrun_cli.connection.profiles import Profile, ProfileFile
from agentrun_cli.errors import UsageError

WRITTEN = """\
# My deployments
profile = "live"
other = 1

[profiles.live]  # careful
base_url = "https://api.example/live"
token_command = "gcloud auth print-identity-token"

# Ours
[profiles.staging]
base_url = "https://staging.example"
"""


@pytest.fixture
def file(tmp_path: Path) -> ProfileFile:
    path = tmp_path / "config" / "agentrun" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(WRITTEN, encoding="utf-8")
    return ProfileFile(path)


def test_profiles_are_read(file: ProfileFile) -> None:
    assert list(file.profiles()) == ["live", "staging"]
    assert file.default() == "live"
    assert file.named("live") == Profile(
        "live", "https://api.example/live", token_command="gcloud auth print-identity-token"
    )


def test_without_a_file_there_are_none(tmp_path: Path) -> None:
    file = ProfileFile(tmp_path / "none.toml")
    assert file.profiles() == {}
    assert file.default() is None


def test_a_change_leaves_the_other_lines_as_they_are(file: ProfileFile) -> None:
    file.put(Profile("staging", "https://new.example", scope='a "b" \\ \x7f é'))
    text = file.path.read_text(encoding="utf-8")
    assert text.startswith(WRITTEN.partition("[profiles.staging]")[0])
    assert file.named("staging").base_url == "https://new.example"
    assert file.named("staging").scope == 'a "b" \\ \x7f é'


def test_another_profile_can_be_made_the_default(file: ProfileFile) -> None:
    file.use("staging")
    assert file.default() == "staging"
    assert "# My deployments\nother = 1\n" in file.path.read_text(encoding="utf-8")
    file.use(None)
    assert file.default() is None
    assert list(file.profiles()) == ["live", "staging"]


def test_a_profile_that_is_removed_is_no_default(file: ProfileFile) -> None:
    file.remove("live")
    assert file.default() is None
    assert list(file.profiles()) == ["staging"]


def test_comments_stay_with_what_stands_below_them(file: ProfileFile) -> None:
    file.put(Profile("live", "https://new.example"))
    changed = WRITTEN.replace(
        """[profiles.live]  # careful
base_url = "https://api.example/live"
token_command = "gcloud auth print-identity-token"
""",
        '[profiles.live]\nbase_url = "https://new.example"\n',
    )
    assert file.path.read_text(encoding="utf-8") == changed
    file.remove("live")
    text = file.path.read_text(encoding="utf-8")
    assert text == (
        "# My deployments\nother = 1\n\n\n# Ours\n[profiles.staging]\n"
        'base_url = "https://staging.example"\n'
    )
    file.remove("staging")
    assert file.path.read_text(encoding="utf-8") == "# My deployments\nother = 1\n\n\n# Ours\n"


OTHERWISE = [
    ('profile = "live"\n[profiles]\nlive = { base_url = "https://a.example" }\n', 3),
    ('profiles.live.base_url = "https://a.example"\nprofile = "live"\n', 1),
    ('profile = "live"\n\n["profiles".live]\nbase_url = "https://a.example"\n', 3),
    ('profile = "live"\n[profiles.live]\nbase_url = "a"\nscope = """\n[profiles.live]\nx"""\n', 2),
]


@pytest.mark.parametrize(("text", "line"), OTHERWISE)
def test_what_is_written_in_another_way_is_refused_with_its_place(
    file: ProfileFile, text: str, line: int
) -> None:
    file.path.write_text(text, encoding="utf-8")
    place = rf"config\.toml:{line}: 'live' is written in a way"
    with pytest.raises(UsageError, match=place):
        file.put(Profile("live", "https://b.example"))
    with pytest.raises(UsageError, match=place):
        file.remove("live")
    assert file.path.read_text(encoding="utf-8") == text
    file.put(Profile("other", "https://b.example"))
    assert list(file.profiles()) == ["live", "other"]


def test_a_default_that_is_written_in_another_way_is_refused_with_its_place(
    file: ProfileFile,
) -> None:
    text = WRITTEN.replace("profile =", '"profile" =')
    file.path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"config\.toml:2: 'profile' is written in a way"):
        file.use("staging")
    assert file.path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("profile = ", "cannot be read"),
        ("profiles = 1", "'profiles' is no table"),
        ("[profiles]\nlive = 1", "'live' is no table"),
        ("[profiles.live]\nurl = ''", "'live' has 'url'; it may have base_url"),
        ("[profiles.live]\nscope = 'a'", "'live' has no base_url"),
        ("[profiles.live]\nbase_url = 1", "'base_url' of the profile 'live' is no text"),
    ],
)
def test_a_broken_file_is_refused_and_left_alone(file: ProfileFile, text: str, said: str) -> None:
    file.path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=said):
        file.put(Profile("new", "https://api.example"))
    assert file.path.read_text(encoding="utf-8") == text
