"""Starts new processes when the code changes."""

from collections.abc import Callable, Mapping
from pathlib import Path

import watchfiles

from agentrun_local.functions.invocation import FunctionError
from agentrun_local.functions.pool import FunctionPool


async def reload_on_change(
    pools: Mapping[str, FunctionPool], template: Path, log: Callable[[str], None]
) -> None:
    """Replace a function's processes whenever one of its files or its layers' files changes."""
    folders = {folder for pool in pools.values() for folder in _folders(pool, template)}
    existing = [folder for folder in folders if folder.is_dir()]
    async for changes in watchfiles.awatch(*existing, template, recursive=True):
        paths = [Path(path) for _, path in changes]
        if template in paths:
            log(f"{template.name} has changed; start again to use it.")
        for name, pool in pools.items():
            changed = [path for path in paths if _concerns(pool, template, path)]
            if changed:
                log(f"{changed[0].name} has changed; {name} gets new processes.")
                await _replace(pool, log)


async def _replace(pool: FunctionPool, log: Callable[[str], None]) -> None:
    try:
        await pool.replace()
    except FunctionError as error:
        log(f"{pool.function.name} does not start: {error}")


def _folders(pool: FunctionPool, template: Path) -> list[Path]:
    folders = [pool.function.code_dir, *pool.function.layer_dirs]
    project = template.resolve().parent
    if project not in folders:
        return folders
    # The layer of a project's own is its folder, which also has what changes all the time.
    folders.remove(project)
    return [*folders, project / "agents", project / "tools"]


def _concerns(pool: FunctionPool, template: Path, path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in _folders(pool, template))
