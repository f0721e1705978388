"""The object that a function's `Handler` names."""

from typing import TYPE_CHECKING, Any

from lambda_asgi.asgi import ASGIApp

if TYPE_CHECKING:
    from lambda_asgi.buffered import BufferedApp


class StreamingHandler:
    """
    Wraps an ASGI app for Lambda: streams with the exec wrapper, and buffers without it.

    The exec wrapper starts `python -m lambda_asgi`, which takes the app (`.app`) and streams. Any
    other runtime (a plain `sam local`, a Lambda emulator, a unit test) calls the object as an
    `(event, context)` handler and gets the whole response at once.

        handler = StreamingHandler(FastAPI(...))
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`, without starting anything before the first call."""
        self.app = app
        self._buffered: BufferedApp | None = None

    def __call__(self, event: Any, context: Any) -> Any:
        """
        Answer one event, buffered.

        The app's lifespan starts with the first call and lasts until `close`.

        Args:
            event: Function URL, HTTP API or REST API event; any other is answered with a small
                JSON object without calling the app.
            context: Lambda's context object.

        Returns:
            The response in the form that the event's source expects.

        Raises:
            LifespanStartupError: The app says that it cannot start; the next call tries again.
            RuntimeError: Called from within a running event loop.
        """
        if self._buffered is None:
            # Imported here: asyncio and Mangum take tens of milliseconds, and the exec wrapper
            # does not need them.
            from lambda_asgi.buffered import BufferedApp  # noqa: PLC0415

            self._buffered = BufferedApp(self.app)
        return self._buffered.answer(event, context)

    def close(self) -> None:
        """Run the app's lifespan shutdown and free the event loop; Lambda never calls this."""
        if self._buffered is not None:
            self._buffered.close()
            self._buffered = None
