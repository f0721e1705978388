import socket

from agentrun_local.doors.web_server import listen


def test_an_answers_body_does_not_wait_for_the_acknowledgement_of_its_head() -> None:
    with (
        listen(0) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
