"""Loads the ASGI app that `_HANDLER` names, by the managed runtime's rules."""

import gc
import importlib
import sys
from types import ModuleType

from lambda_asgi.asgi import ASGIApp
from lambda_asgi.errors import InitError
from lambda_asgi.handler import StreamingHandler


def load_app(handler: str, task_root: str | None) -> ASGIApp:
    """
    Import the handler and return the ASGI app in it.

    Args:
        handler: `module.attribute`; the module path may contain dots or slashes. The attribute is a
            `StreamingHandler` or an ASGI app.
        task_root: LAMBDA_TASK_ROOT, the folder to import from first; None for `sys.path` as it is.

    Raises:
        InitError: The name is malformed, its module or attribute is missing, or has a syntax error.
        Exception: The module raised it while it was imported.
    """
    module_path, _, name = handler.rpartition(".")
    if not module_path:
        raise InitError("Runtime.MalformedHandlerName", f"Bad handler '{handler}': no attribute.")
    if task_root and sys.path[0] != task_root:
        # As in the managed runtime, the function's own modules win over those of layers.
        sys.path.insert(0, task_root)
    app = getattr(_import(module_path.replace("/", ".")), name, None)
    if app is None:
        raise InitError(
            "Runtime.HandlerNotFound", f"Handler '{name}' missing on module '{module_path}'."
        )
    if isinstance(app, StreamingHandler):
        return app.app
    if not callable(app):
        raise InitError("Runtime.HandlerNotFound", f"Handler '{handler}' is not callable.")
    return app  # type: ignore[no-any-return]  # an ASGI 3 app by contract; only a call can tell


def _import(module: str) -> ModuleType:
    # What an import creates stays alive. Looking for garbage in it would take a tenth of a cold
    # start, and again of every full collection.
    gc.disable()
    try:
        return importlib.import_module(module)
    except ImportError as exc:
        raise InitError(
            "Runtime.ImportModuleError", f"Unable to import module '{module}': {exc}"
        ) from exc
    except SyntaxError as exc:
        raise InitError(
            "Runtime.UserCodeSyntaxError", f"Syntax error in module '{module}': {exc}"
        ) from exc
    finally:
        gc.freeze()
        gc.enable()
