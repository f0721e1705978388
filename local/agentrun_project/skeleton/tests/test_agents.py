"""The agents on the demo model, which follows fixed rules: no network, no cost, no flakiness."""

from agentrun_local.testing import Talk


def test_a_ticket_is_opened_only_once_it_is_approved() -> None:
    talk = Talk("helpdesk")
    talk.say('/call open_ticket {"subject": "No sound", "priority": "high"}')
    assert talk.results == []
    talk.approve()
    (ticket,) = talk.results
    assert (ticket["subject"], ticket["priority"]) == ("No sound", "high")


def test_a_rejected_ticket_is_not_opened() -> None:
    talk = Talk("helpdesk")
    talk.say('/call open_ticket {"subject": "No sound"}')
    talk.reject("turn it up first")
    assert talk.results == []


def test_a_ticket_needs_a_subject() -> None:
    talk = Talk("helpdesk")
    talk.say('/call open_ticket {"subject": " "}')
    assert "needs a subject" in talk.approve()
