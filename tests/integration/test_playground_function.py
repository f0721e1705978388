"""The playground's function with CloudFormation's events, on a bucket of moto."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import urllib3
from botocore.exceptions import ClientError

from agentrun.adapters.playground import custom_resource
from tests.http_server import answering, send, served
from tests.integration.conftest import deployment, event_file

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "agentrun-playgroundbucket-1example2"
CONFIG = "playground/config.json"
pytestmark = pytest.mark.filterwarnings("ignore:Exception in thread")


class Context:
    """Lambda's context of an invocation that has a minute left."""

    def __init__(self, left_ms: int = 60_000) -> None:
        self.left_ms = left_ms

    def get_remaining_time_in_millis(self) -> int:
        return self.left_ms


@dataclass
class CloudFormation:
    """What waits for answers, at a URL that is signed as S3's are."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    content_types: list[str | None] = field(default_factory=list)

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Take one answer."""
        assert handler.command == "PUT"
        assert handler.path.endswith("?X-Amz-Signature=a%2Fb")
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.answers.append(json.loads(body))
            self.content_types.append(handler.headers["Content-Type"])
        send(handler, status)

    def event(self, kind: str, **changes: Any) -> dict[str, Any]:
        event = event_file("playground-files.json")
        properties = {**event["ResourceProperties"], **changes}
        earlier = {"PhysicalResourceId": BUCKET} if kind != "Create" else {}
        answer_to = {"ResponseURL": f"{self.url}/answer?X-Amz-Signature=a%2Fb"}
        return {
            **event,
            **answer_to,
            **earlier,
            "RequestType": kind,
            "ResourceProperties": properties,
        }


@pytest.fixture
def cloudformation() -> Iterator[CloudFormation]:
    waiting = CloudFormation()
    with served(answering(waiting.serve)) as waiting.url:
        yield waiting


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand for the layer that has the built files."""
    folder = tmp_path / "playground_files"
    for name in ("index.html", "docs/index.html", "assets/index-a1.js", "assets/notes.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"this is {name}")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


@pytest.fixture
def app(built: Path) -> Iterator[ModuleType]:
    with deployment() as module:
        region: Any = {"LocationConstraint": "eu-west-1"}
        s3().create_bucket(Bucket=BUCKET, CreateBucketConfiguration=region)
        yield module("playground")


def s3() -> "S3Client":
    return boto3.client("s3", region_name="eu-west-1")


def keys() -> set[str]:
    found = s3().list_objects_v2(Bucket=BUCKET)
    return {entry["Key"] for entry in found.get("Contents", [])}


def text(key: str) -> str:
    return s3().get_object(Bucket=BUCKET, Key=key)["Body"].read().decode()


def test_a_new_bucket_gets_all_files_and_the_pages_settings(
    app: ModuleType, cloudformation: CloudFormation
) -> None:
    event = cloudformation.event("Create")
    app.handler(event, Context())
    assert keys() == {
        *("index.html", "docs", "docs/", "docs/index.html", "assets/index-a1.js", CONFIG),
    }
    assert text("docs/") == "this is docs/index.html"
    assert 'url=docs/"' in text("docs")
    assert json.loads(text(CONFIG)) == {
        "issuer": "https://issuer.example/",
        "clientId": "playground",
        "scopes": "openid",
        "sends": "access_token",
    }
    (answer,) = cloudformation.answers
    named = {name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}
    assert answer == {
        "Status": "SUCCESS",
        "Reason": "Done",
        "PhysicalResourceId": BUCKET,
        **named,
    }
    # S3 has signed the URL without one.
    assert cloudformation.content_types == [""]


def test_what_is_hashed_is_kept_and_all_else_asked_for_again(
    app: ModuleType, cloudformation: CloudFormation
) -> None:
    app.handler(cloudformation.event("Create"), Context())
    sent = {
        key: (found["CacheControl"], found["ContentType"])
        for key in keys()
        for found in (s3().get_object(Bucket=BUCKET, Key=key),)
    }
    html = ("no-cache", "text/html; charset=utf-8")
    assert sent == {
        **dict.fromkeys(("index.html", "docs", "docs/", "docs/index.html"), html),
        CONFIG: ("no-cache", "application/json"),
        "assets/index-a1.js": (
            "public, max-age=31536000, immutable",
            "text/javascript; charset=utf-8",
        ),
    }


def test_an_update_puts_what_is_new_before_the_page_and_removes_what_is_stale_last(
    app: ModuleType, cloudformation: CloudFormation, built: Path
) -> None:
    app.handler(cloudformation.event("Create"), Context())
    (built / "assets/index-a1.js").rename(built / "assets/index-b2.js")
    (built / "index.html").write_text("another page")
    calls: list[str] = []
    app.client.meta.events.register(
        "provide-client-params.s3",
        lambda params, model, **_: calls.append(f"{model.name} {params.get('Key', '')}".strip()),
    )
    app.handler(cloudformation.event("Update"), Context())
    assert calls[0] == "PutObject assets/index-b2.js"
    assert calls.index("PutObject index.html") > 0
    assert calls[-2:] == ["ListObjectsV2", "DeleteObjects"]
    assert text("index.html") == "another page"
    assert {key for key in keys() if key.startswith("assets/")} == {"assets/index-b2.js"}
    assert [answer["PhysicalResourceId"] for answer in cloudformation.answers] == [BUCKET] * 2


def test_a_deleted_bucket_is_emptied_first_and_one_that_is_gone_is_no_failure(
    app: ModuleType, cloudformation: CloudFormation
) -> None:
    app.handler(cloudformation.event("Create"), Context())
    app.handler(cloudformation.event("Delete"), Context())
    assert keys() == set()
    s3().delete_bucket(Bucket=BUCKET)
    app.handler(cloudformation.event("Delete"), Context())
    assert [answer["Status"] for answer in cloudformation.answers] == ["SUCCESS"] * 3


def test_a_bucket_that_refuses_is_a_failure_that_says_so(
    app: ModuleType, cloudformation: CloudFormation
) -> None:
    def refuse(**_: Any) -> None:
        refused = {"Error": {"Code": "AccessDenied", "Message": "not allowed " * 200}}
        raise ClientError(refused, "PutObject")  # type: ignore[arg-type] # as little as botocore has

    app.client.meta.events.register("before-call.s3.PutObject", refuse)
    app.handler(cloudformation.event("Create"), Context())
    (answer,) = cloudformation.answers
    assert answer["Status"] == "FAILED"
    assert "AccessDenied" in answer["Reason"]
    assert len(json.dumps(answer)) < 4096
    # By the id, CloudFormation has what is there deleted.
    assert answer["PhysicalResourceId"] == BUCKET


def test_a_request_that_names_no_bucket_or_lacks_its_layer_is_answered(
    app: ModuleType, cloudformation: CloudFormation, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.handler({**cloudformation.event("Create"), "ResourceProperties": {}}, Context())
    monkeypatch.setattr(app, "FILES", "no_such_layer")
    app.handler(cloudformation.event("Update"), Context())
    assert [answer["Status"] for answer in cloudformation.answers] == ["FAILED"] * 2
    assert "no layer has no_such_layer" in cloudformation.answers[1]["Reason"]


def test_an_answer_comes_before_the_time_is_up(
    app: ModuleType, cloudformation: CloudFormation
) -> None:
    free = threading.Event()

    def wait(**_: Any) -> None:
        free.wait()

    app.client.meta.events.register("before-call.s3.PutObject", wait)
    left_ms = int(custom_resource.MARGIN_S * 1000) + 50
    try:
        app.handler(cloudformation.event("Create"), Context(left_ms))
    finally:
        free.set()
    (answer,) = cloudformation.answers
    assert (answer["Status"], answer["Reason"]) == ("FAILED", "it takes too long (see the log)")


def test_an_answer_is_sent_again_and_if_it_never_arrives_lambda_may_repeat_all(
    app: ModuleType, cloudformation: CloudFormation
) -> None:
    cloudformation.statuses = [503, 200]
    app.handler(cloudformation.event("Create"), Context())
    assert len(cloudformation.answers) == 1
    cloudformation.statuses = [503] * 4
    with pytest.raises(urllib3.exceptions.MaxRetryError):
        app.handler(cloudformation.event("Update"), Context())
