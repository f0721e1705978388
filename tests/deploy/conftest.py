"""One build, shared by everything that looks at it, and what a function is run with."""

import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from agentrun_project.build import runtime_python
from tests.deploy import artefacts
from tests.integration.conftest import ENVIRONMENT
from tests.queues import create_queue, sqs_client_of
from tests.tables import dynamodb_server


@pytest.fixture(scope="session")
def runtime() -> str:
    """Return a Python of the Lambda runtime's version; what is built runs on no other."""
    if sys.platform != "linux":
        pytest.skip("the artefacts hold Linux libraries, and this is not Linux")
    python = runtime_python()
    if python is None:
        pytest.skip("no Python 3.13 on the PATH or under pyenv to run the artefacts with")
    return python


@pytest.fixture(scope="session")
def built(runtime: str, tmp_path_factory: pytest.TempPathFactory) -> artefacts.Artefacts:
    return artefacts.build(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with dynamodb_server(tmp_path_factory.mktemp("dynamodb")) as url:
        # It serves the others, too.
        names = ("DYNAMODB", "S3", "SQS")
        with closing(sqs_client_of(url)) as client:
            create_queue(client)
        yield {**ENVIRONMENT, **{f"AWS_ENDPOINT_URL_{name}": url for name in names}}
