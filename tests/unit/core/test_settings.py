"""What a deployment may decide, and what it may not."""

import pytest

from agentrun.settings import Settings


def test_a_stream_pings_after_10_s_unless_the_deployment_says_sooner() -> None:
    assert Settings.from_environment({}).ping_after_s == 10
    assert Settings.from_environment({"AGENTRUN_PING_AFTER_S": "0.5"}).ping_after_s == 0.5


@pytest.mark.parametrize("seconds", ["0", "-1", "0.05", "10.5", "nan", "inf", "soon"])
def test_a_ping_interval_that_breaks_the_promise_to_clients_is_refused(seconds: str) -> None:
    with pytest.raises(ValueError, match="ping_after_s"):
        Settings.from_environment({"AGENTRUN_PING_AFTER_S": seconds})
