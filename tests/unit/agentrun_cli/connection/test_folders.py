"""Files are where the XDG Base Directory specification puts them."""

from pathlib import Path

import pytest

from agentrun_cli.connection.folders import config_file, state_folder


def test_named_folders_win() -> None:
    named = {"HOME": "/home/ana", "XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "/s"}
    assert config_file(named) == Path("/c/agentrun/config.toml")
    assert state_folder(named) == Path("/s/agentrun")


@pytest.mark.parametrize("named", [{}, {"XDG_CONFIG_HOME": ""}, {"XDG_CONFIG_HOME": "relative"}])
def test_without_a_usable_name_they_are_in_the_home_folder(named: dict[str, str]) -> None:
    environment = {"HOME": "/home/ana", **named}
    assert config_file(environment) == Path("/home/ana/.config/agentrun/config.toml")
    assert state_folder(environment) == Path("/home/ana/.local/state/agentrun")
