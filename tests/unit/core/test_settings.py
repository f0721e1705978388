"""What a deployment may decide, and what it may not."""

import pytest

from agentrun.settings import Settings, WebhookSettings


def test_a_stream_pings_after_10_s_unless_the_deployment_says_sooner() -> None:
    assert Settings.from_environment({}).ping_after_s == 10
    assert Settings.from_environment({"AGENTRUN_PING_AFTER_S": "0.5"}).ping_after_s == 0.5


@pytest.mark.parametrize("seconds", ["0", "-1", "0.05", "10.5", "nan", "inf", "soon"])
def test_a_ping_interval_that_breaks_the_promise_to_clients_is_refused(seconds: str) -> None:
    with pytest.raises(ValueError, match="ping_after_s"):
        Settings.from_environment({"AGENTRUN_PING_AFTER_S": seconds})


def test_the_webhook_functions_settings_do_not_show_its_secrets() -> None:
    given = {
        "AGENTRUN_WEBHOOK_SECRETS": "whsec_hidden",
        "AGENTRUN_WEBHOOK_QUEUE_URL": "https://sqs.test/q",
    }
    settings = WebhookSettings.from_environment(given)
    assert (settings.secrets, settings.queue_url) == ("whsec_hidden", "https://sqs.test/q")
    assert settings.secret_arn == ""
    assert "hidden" not in repr(settings)


@pytest.mark.parametrize(
    ("task_root", "is_allowed"), [("/var/task", False), ("/home/ana/stream", True), ("", True)]
)
def test_receivers_on_this_machine_are_never_allowed_on_lambda(
    task_root: str, is_allowed: bool
) -> None:
    given = {"AGENTRUN_WEBHOOK_LOOPBACK": "true", "LAMBDA_TASK_ROOT": task_root}
    assert Settings.from_environment(given).webhook_loopback is is_allowed
    assert not Settings.from_environment({"LAMBDA_TASK_ROOT": task_root}).webhook_loopback
