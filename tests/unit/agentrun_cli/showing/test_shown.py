"""What a STEP_RESET takes back, and what is printed again."""

from agentrun_cli.showing.shown import Reset, Shown


def test_only_the_interrupted_passage_is_printed_again() -> None:
    shown = Shown()
    shown.add(2, "Let me look. ", is_answer=True)
    shown.interrupt()
    shown.add(5, "hm", is_answer=False)
    shown.add(6, "It is ", is_answer=True)
    shown.add(7, "wrong", is_answer=True)
    assert shown.reset(6) == Reset(has_void=True, kept="It is ")


def test_what_is_void_is_forgotten() -> None:
    shown = Shown()
    shown.add(2, "void", is_answer=True)
    assert shown.reset(1) == Reset(has_void=True, kept="")
    shown.add(4, "right", is_answer=True)
    assert shown.reset(4) == Reset(has_void=False, kept="")
