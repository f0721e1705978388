"""The ASGI lifespan, against apps that keep to it and apps that do not."""

import logging
from typing import Any

import pytest

from lambda_asgi.errors import LifespanStartupError
from lambda_asgi.lifespan import Lifespan

pytestmark = pytest.mark.anyio


async def test_startup_and_shutdown_reach_the_app_in_order() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(2):
            event = (await receive())["type"]
            seen.append(event)
            scope["state"]["event"] = event
            await send({"type": f"{event}.complete"})

    lifespan = Lifespan(app)
    await lifespan.startup()
    assert lifespan.state == {"event": "lifespan.startup"}
    await lifespan.shutdown()
    assert seen == ["lifespan.startup", "lifespan.shutdown"]


async def test_an_app_without_lifespan_serves_all_the_same() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise NotImplementedError

    lifespan = Lifespan(app)
    await lifespan.startup()
    await lifespan.shutdown()
    assert lifespan.state == {}


async def test_a_failed_startup_says_why() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})
        raise ConnectionError

    with pytest.raises(LifespanStartupError, match="no database"):
        await Lifespan(app).startup()


@pytest.mark.parametrize("raises", [True, False])
async def test_a_failed_shutdown_is_logged(
    caplog: pytest.LogCaptureFixture, *, raises: bool
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if raises:
            raise ValueError("stuck")
        await send({"type": "lifespan.shutdown.failed", "message": "stuck"})

    lifespan = Lifespan(app)
    await lifespan.startup()
    await lifespan.shutdown()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "stuck" in caplog.text
