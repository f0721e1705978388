"""
Serve the playground as CloudFront does: the bucket's files and, below /api, the API.

It runs in the project's own environment, the browser's tests in another.
"""

import argparse
import threading
from pathlib import Path
from typing import Any

import boto3
from moto import mock_aws

from agentrun_local.template.cloudformation import Resource, load_resources
from tests.spoiling_proxy import Asked, Forward, Spoilt, spoiling_proxy
from tests.translated_template import ROOT
from tests.unit.test_template_playground import sent_headers

Stored = dict[str, tuple[bytes, list[tuple[str, str]]]]


def filled_bucket(resources: dict[str, Resource]) -> Stored:
    """Have the function fill a bucket; return the objects as S3 sends them."""
    properties = {**resources["PlaygroundFiles"].properties, "Bucket": "site"}
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="site")
        # Imported here: it makes its client.
        from agentrun.adapters.playground.custom_resource import ResourceRequest  # noqa: PLC0415
        from functions.playground.app import work  # noqa: PLC0415

        work(ResourceRequest({"RequestType": "Create", "ResourceProperties": properties}))
        found: Stored = {}
        for entry in s3.list_objects_v2(Bucket="site")["Contents"]:
            sent = s3.get_object(Bucket="site", Key=entry["Key"])
            headers = [
                ("content-type", sent["ContentType"]),
                ("cache-control", sent["CacheControl"]),
            ]
            found[entry["Key"]] = (sent["Body"].read(), headers)
    return found


def answering(resources: dict[str, Resource]) -> Any:
    """Return what answers as the distribution does."""
    distribution = resources["PlaygroundDistribution"].properties["DistributionConfig"]
    root = distribution["DefaultRootObject"]
    (api,) = (one["PathPattern"].removesuffix("*") for one in distribution["CacheBehaviors"])
    stored, page_headers = filled_bucket(resources), list(sent_headers(resources).items())

    def answer(asked: Asked, forward: Forward) -> Spoilt:
        path = asked.path.partition("?")[0]
        if path.startswith(api):
            return forward(asked)
        # A bucket has no folders, and refuses what it has not to whom it does not list.
        body, headers = stored.get(path[1:] or root, (b"<Error/>", []))
        status = 200 if headers else 403
        return Spoilt(status, [*headers, *page_headers], [body])

    return answer


def main() -> None:
    """Serve until it is killed; write the URL into a file once it is ready."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--api", required=True)
    parser.add_argument("--url-file", type=Path, required=True)
    parser.add_argument("--parameter", action="append", default=[])
    arguments = parser.parse_args()
    given = dict(one.split("=", 1) for one in arguments.parameter)
    resources = load_resources(ROOT / "template.yaml", {"Playground": "On", **given})
    with spoiling_proxy(arguments.api, answering(resources)) as url:
        arguments.url_file.write_text(url)
        threading.Event().wait()


if __name__ == "__main__":
    main()
