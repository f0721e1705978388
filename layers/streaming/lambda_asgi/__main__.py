"""`python -m lambda_asgi`: load `_HANDLER` and serve it; see docs/streaming-runtime.md."""

import asyncio
import logging
import os
import sys
from collections.abc import Coroutine

from lambda_asgi.asgi import ASGIApp
from lambda_asgi.errors import ErrorReport, RuntimeApiError
from lambda_asgi.loader import load_app
from lambda_asgi.logs import configure_logging
from lambda_asgi.runtime import SHUTDOWN_GRACE_S, Runtime
from lambda_asgi.runtime_api import RuntimeApi
from lambda_asgi.snapstart import run_after_restore, run_before_snapshot

# The managed runtime's exit statuses for each phase that can fail.
_EXIT_INIT = 1
_EXIT_BEFORE_SNAPSHOT = 64
_EXIT_AFTER_RESTORE = 65

_logger = logging.getLogger("lambda_asgi")


def main() -> int:
    """Run the process from start to end; return its exit status."""
    configure_logging(os.environ)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)
    address = os.environ.get("AWS_LAMBDA_RUNTIME_API")
    if not address:
        _logger.error("AWS_LAMBDA_RUNTIME_API is not set: this is for Lambda, or its local stack.")
        return _EXIT_INIT
    with asyncio.Runner() as runner:
        try:
            app = load_app(os.environ.get("_HANDLER", ""), os.environ.get("LAMBDA_TASK_ROOT"))
            runtime = _runtime(address, app)
            runner.run(runtime.startup())
        except Exception as exc:  # noqa: BLE001 - any error of the init is reported to Lambda
            report = ErrorReport.of(exc)
            return _give_up(runner, exc, RuntimeApi(address).report_init_error(report), _EXIT_INIT)
        if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
            status = _cross_snapshot(runner, RuntimeApi(address))
            if status:
                return status
        try:
            runner.run(runtime.serve())
        except RuntimeApiError:
            _logger.exception("The runtime stops.")
            return 1
    return 0


def _runtime(address: str, app: ASGIApp) -> Runtime:
    return Runtime(
        app,
        address,
        concurrency=int(os.environ.get("AWS_LAMBDA_MAX_CONCURRENCY") or 1),
        grace_s=float(os.environ.get("LAMBDA_ASGI_SHUTDOWN_GRACE_S") or SHUTDOWN_GRACE_S),
    )


def _cross_snapshot(runner: asyncio.Runner, api: RuntimeApi) -> int:
    """Run the hooks outside the event loop, so that they may run their own."""
    try:
        run_before_snapshot()
        runner.run(api.restore_next())
    except Exception as exc:  # noqa: BLE001 - a hook may raise anything
        report = ErrorReport.of(exc, "Runtime.BeforeSnapshotError")
        return _give_up(runner, exc, api.report_init_error(report), _EXIT_BEFORE_SNAPSHOT)
    try:
        run_after_restore()
    except Exception as exc:  # noqa: BLE001 - a hook may raise anything
        report = ErrorReport.of(exc, "Runtime.AfterRestoreError")
        return _give_up(runner, exc, api.report_restore_error(report), _EXIT_AFTER_RESTORE)
    return 0


def _give_up(
    runner: asyncio.Runner, error: Exception, report: Coroutine[None, None, None], status: int
) -> int:
    _logger.error("The runtime cannot start.", exc_info=error)
    try:
        runner.run(report)
    except RuntimeApiError:
        _logger.exception("The error could not be reported.")
    return status


if __name__ == "__main__":
    sys.exit(main())
