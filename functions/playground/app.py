"""The playground's function: puts the page's files into their bucket when CloudFormation asks."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from agentrun.adapters.playground.bucket import SiteBucket
from agentrun.adapters.playground.custom_resource import ResourceRequest, answer_in_time
from agentrun.adapters.playground.files import site_files
from agentrun.adapters.s3.objects import s3_client
from agentrun.telemetry import log_as_json

FILES = "playground_files"
"""The folder of the layer that has them, found as Python finds a package without modules."""

log_as_json()
client = s3_client()


class Context(Protocol):
    """What is asked of Lambda's context."""

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the invocation may still take."""


def handler(event: Mapping[str, Any], context: Context) -> None:
    """Fill the bucket, or empty it before it is deleted; answer CloudFormation either way."""
    answer_in_time(event, context.get_remaining_time_in_millis() / 1000, work)


def work(request: ResourceRequest) -> None:
    """Do what a request asks for."""
    bucket = SiteBucket(client, request.bucket)
    if request.is_delete:
        bucket.empty()
    else:
        bucket.publish(site_files(folder(), request.config))


def folder() -> Path:
    """
    Return the folder of the built files.

    Raises:
        FileNotFoundError: The layer that has them is not attached.
    """
    spec = find_spec(FILES)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"no layer has {FILES}")
    return Path(next(iter(spec.submodule_search_locations)))
