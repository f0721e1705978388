import contextlib
import socket

import pytest

from agentrun_local.doors.web_server import FIRST_PORT, PORT_STEP, listen, listen_at
from agentrun_local.errors import LocalStackError


def test_an_answers_body_does_not_wait_for_the_acknowledgement_of_its_head() -> None:
    with (
        listen(0) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def ports(*sockets: socket.socket) -> list[int]:
    return [listener.getsockname()[1] for listener in sockets]


def test_a_second_stack_moves_both_its_ports() -> None:
    with contextlib.ExitStack() as stack:
        first, second = (
            [stack.enter_context(one) for one in listen_at(None, None)] for _ in range(2)
        )
        (rest_api, url), (other, other_url) = ports(*first), ports(*second)
        assert (url, other_url) == (rest_api + 1, other + 1)
        assert other > rest_api
        assert (other - FIRST_PORT) % PORT_STEP == 0


def test_a_port_that_was_chosen_is_not_moved() -> None:
    with contextlib.ExitStack() as stack:
        (taken, _) = ports(*(stack.enter_context(one) for one in listen_at(0, 0)))
        with pytest.raises(LocalStackError, match=f"Port {taken} cannot be used"):
            listen_at(taken, 0)
        with pytest.raises(LocalStackError, match=f"Port {taken} cannot be used"):
            listen_at(0, taken)
