"""
What the OpenAPI document says, tried by Schemathesis through both doors.

`make test ARGS="tests/integration/test_schemathesis.py -s"` prints how much was tried.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import pytest
import schemathesis
from moto.dynamodb.responses import DynamoHandler
from schemathesis.config import SchemathesisConfig
from schemathesis.core.transport import Response
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder
from starlette.types import ASGIApp

from agentrun.http.openapi.document import FUNCTION_URL_PATHS, openapi_json
from tests.contract.test_token_verifier import token
from tests.e2e.conftest import ROOT as PROJECT
from tests.e2e.conftest import LocalStack, running_stack
from tests.integration.conftest import AppModule
from tests.integration.front_doors import FunctionUrl, RestApi, rest_api
from tests.openapi_document import Json, closed_document, misfits, operations

EVENT = {"$ref": "#/components/schemas/ServerSentEvent"}
# What no schema can say: whether an agent takes this file, what its model costs, whether there are
# webhooks, and which cursors were given out.
NOT_OF_FORM_ALONE = [
    *("streamRun", "runOnce", "runInBackground"),
    *("listSessions", "listRuns", "listPendingApprovals"),
]
# An agent that cannot be has no runs, like one that is not there.
TOLERANT = ["getRuns"]


@dataclass
class Findings:
    """How much was tried, and what was not as the document says."""

    counted: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, label: str | None, recorder: ScenarioRecorder) -> None:
        self.counted["scenarios"] += 1
        for interaction in recorder.interactions.values():
            if interaction.response is not None:
                self.counted["cases"] += 1
                self.statuses[interaction.response.status_code] += 1
                self._look_into(label, interaction.response)
        for check in (check for checks in recorder.checks.values() for check in checks):
            self.counted["checks"] += 1
            if (found := check.failure_info) is not None:
                self.wrong.append(f"{label}: {found.failure.title}: {found.failure.message}")

    def _look_into(self, label: str | None, response: Response) -> None:
        """Check the JSON inside of events, at which Schemathesis stops."""
        if not response.headers.get("content-type", [""])[0].startswith("text/event-stream"):
            return
        for block in response.content.decode().split("\n\n"):
            lines = dict(line.partition(": ")[::2] for line in block.splitlines())
            if "id" in lines:
                self.counted["events"] += 1
                self.wrong += [f"{label}: {what} in {block}" for what in misfits(EVENT, lines)]

    def __str__(self) -> str:
        statuses = ", ".join(f"{status}: {n}" for status, n in sorted(self.statuses.items()))
        return f"{dict(self.counted)}; by status {statuses}"


def ana() -> str:
    return token(sub="ana", org="acme", scope="runs:read runs:write", roles=[])


def config(bearer: str, *, max_examples: int, phases: tuple[str, ...], **more: Any) -> Json:
    every = ("examples", "coverage", "fuzzing", "stateful")
    return {
        "seed": 1,
        "headers": {"Authorization": f"Bearer {bearer}"},
        "generation": {
            "max-examples": max_examples,
            "no-shrink": True,
            "deterministic": True,
            "database": "none",
        },
        "phases": {phase: {"enabled": phase in phases} for phase in every},
        "operations": [
            _without("positive_data_acceptance", NOT_OF_FORM_ALONE),
            _without("negative_data_rejection", TOLERANT),
            # Their bodies are those of runOnce, and each that is good is a run.
            {
                "include-operation-id": ["streamRun", "runInBackground"],
                "phases": {"coverage": {"enabled": False}},
            },
        ],
        **more,
    }


def _without(check: str, names: list[str]) -> Json:
    return {"include-operation-id": names, "checks": {check: {"enabled": False}}}


def tried(document: Json, settings: Json, app: ASGIApp | None = None) -> Findings:
    """Try a document on an app of this process, or on the server that the settings name."""
    # The servers of the document are not those that are to be tried.
    document["servers"] = [{"url": "/"}]
    for item in document["paths"].values():
        item.pop("servers", None)
    schema = schemathesis.openapi.from_dict(document, config=SchemathesisConfig.from_dict(settings))
    schema.app = app
    findings = Findings()
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            findings.add(event.label, event.recorder)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            findings.wrong.append(repr(getattr(event, "value", event)))
    print(f"\n{findings}")  # noqa: T201 - what -s is for
    return findings


def only(document: Json, *paths: str) -> Json:
    return {**document, "paths": {path: document["paths"][path] for path in paths}}


@pytest.fixture(scope="module", autouse=True)
def _one_call_of_the_store_at_a_time() -> Iterator[None]:
    """Moto copies its tables as if nobody else wrote, and some runs go on after their answer."""
    lock, call = Lock(), DynamoHandler.call_action

    def locked(handler: DynamoHandler) -> Any:
        with lock:
            return call(handler)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DynamoHandler, "call_action", locked)
        yield


@pytest.fixture(scope="module")
def door(app_module: AppModule) -> RestApi:
    return rest_api(app_module)


SHORT_RUNS = {"parameters": {"path.agentId": "echo"}}
# A gateway does not tell a method that it does not have from a path.
REST_API = {"checks": {"unsupported_method": {"enabled": False}}}


def test_both_apps_have_the_documented_routes_and_no_other(app_module: AppModule) -> None:
    stream, status = app_module("stream").api, app_module("status").api
    found = {(route.path, method.lower()) for route in stream.routes for method in route.methods}
    found |= {(path, method) for path, item in status.openapi()["paths"].items() for method in item}
    documented = {(path, method) for path, method, _ in operations()}
    assert {(_unnamed(path), method) for path, method in found} == {
        (_unnamed(path), method) for path, method in documented
    }


def _unnamed(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


@pytest.mark.timeout(300)
def test_the_rest_api_answers_as_documented(door: RestApi) -> None:
    phases = ("examples", "coverage", "fuzzing")
    settings = config(ana(), max_examples=3, phases=phases, **REST_API)
    findings = tried(closed_document(), settings, door)
    assert findings.wrong == []
    assert findings.counted["cases"] > 500
    assert findings.counted["events"] > 100
    assert set(findings.statuses) >= {200, 202, 204, 400, 401, 403, 404, 409, 415}


def test_the_function_url_answers_as_documented(app_module: AppModule) -> None:
    settings = config(ana(), max_examples=5, phases=("examples", "fuzzing"))
    app = FunctionUrl(app_module("stream").app)
    findings = tried(only(closed_document(), *FUNCTION_URL_PATHS), settings, app)
    assert findings.wrong == []
    assert findings.counted["cases"] > 50


def test_a_document_that_is_wrong_is_found_out(door: RestApi) -> None:
    document = closed_document()
    health = document["paths"]["/api/v1/health"]
    health["get"]["responses"] = {"204": {"description": "Nothing."}}
    settings = config(ana(), max_examples=1, phases=("fuzzing",), **REST_API)
    findings = tried(only(document, "/api/v1/health"), settings, door)
    assert ["Undocumented status code" in wrong for wrong in findings.wrong] == [True]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with running_stack(PROJECT / "template.yaml", tmp_path_factory.mktemp("stack")) as stack:
        yield stack


def test_the_local_stack_serves_its_document_and_answers_as_documented(stack: LocalStack) -> None:
    with stack.client() as client:
        assert client.get("/api/v1/openapi.json").content == openapi_json()
    bearer, every = stack.token(), closed_document()
    rest_settings = config(bearer, max_examples=2, phases=("fuzzing",), **REST_API)
    rest = tried(every, {**rest_settings, "base-url": stack.rest_api})
    url_settings = config(bearer, max_examples=1, phases=("examples",), **SHORT_RUNS)
    few = only(closed_document(), FUNCTION_URL_PATHS[0])
    url = tried(few, {**url_settings, "base-url": stack.function_url})
    assert rest.wrong + url.wrong == []
    assert min(rest.counted["cases"], url.counted["cases"]) > 20
