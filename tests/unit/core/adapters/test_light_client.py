"""What makes the DynamoDB client light changes neither what is asked nor what is read."""

import json
from base64 import b64encode
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import boto3
import botocore
import pytest
from botocore.auth import AUTH_TYPE_MAPS, SigV4Auth
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import get_session
from hypothesis import given
from hypothesis import strategies as st

from agentrun.adapters.dynamo.connection.client import dynamo_client
from agentrun.adapters.dynamo.connection.http_session import Answer, LightSession
from agentrun.adapters.dynamo.connection.light_client import light_session, lighten

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NAMES = st.sampled_from(["a", "B", "BS", "S", "N", "M", "L", "Item", "NULL"])
BINARY = st.binary(max_size=9).map(lambda value: b64encode(value).decode())
LEAVES = st.one_of(
    st.fixed_dictionaries({"S": st.text()}),
    st.fixed_dictionaries({"N": st.integers().map(str)}),
    st.fixed_dictionaries({"B": BINARY}),
    st.fixed_dictionaries({"BS": st.lists(BINARY, min_size=1, max_size=2)}),
    st.fixed_dictionaries({"SS": st.lists(st.text(), min_size=1, max_size=2)}),
    st.just({"BOOL": False}),
    st.just({"NULL": True}),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"L": st.lists(inner, max_size=3)}),
        st.fixed_dictionaries({"M": st.dictionaries(NAMES, inner, max_size=3)}),
    ),
    max_leaves=6,
)
ITEMS = st.dictionaries(NAMES, VALUES, max_size=4)
CAPACITY = st.sampled_from([None, {"TableName": "runs", "CapacityUnits": 0.5}])


class Canned:
    """A client whose every answer is given."""

    def __init__(self, *, light: bool) -> None:
        self.client: DynamoDBClient = boto3.client(
            "dynamodb",
            region_name="eu-west-1",
            endpoint_url="http://localhost:9",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            aws_session_token="token",
            config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
        )
        if light:
            lighten(self.client)
        events: Any = self.client.meta.events
        events.register_first("before-send.dynamodb.*", self._answer)

    def answers(self, body: bytes, status: int = 200) -> Any:
        self._body, self._status = body, status
        self.asked: Any = None
        return self

    def _answer(self, request: Any, **_: object) -> AWSResponse:
        self.asked = request
        raw: Any = Answer(None)  # type: ignore[arg-type] # reads nothing
        raw.body = self._body
        headers: Any = {"content-length": str(len(self._body))}
        return AWSResponse(str(request.url), self._status, headers, raw)


with pytest.MonkeyPatch.context() as patch:
    # A developer may have awscrt, which signs where it is installed; no layer has it.
    patch.setitem(AUTH_TYPE_MAPS, "v4", SigV4Auth)
    USUAL, LIGHT = Canned(light=False), Canned(light=True)
KEY: Any = {"pk": {"S": "a"}, "sk": {"S": "b"}}


def both(operation: str, answer: object, **asked: Any) -> tuple[Any, Any]:
    body = json.dumps(answer).encode()
    usual, light = (
        getattr(each.answers(body).client, operation)(**asked) for each in (USUAL, LIGHT)
    )
    return usual, light


@given(item=ITEMS, capacity=CAPACITY)
def test_an_item_is_read_as_botocore_reads_it(item: Any, capacity: Any) -> None:
    answer = {"Item": item, "ConsumedCapacity": capacity}
    usual, light = both("get_item", answer, TableName="runs", Key=KEY)
    assert light == usual


@given(items=st.lists(ITEMS, max_size=3), last=st.one_of(st.none(), ITEMS))
def test_a_page_is_read_as_botocore_reads_it(items: Any, last: Any) -> None:
    answer = {"Items": items, "Count": len(items), "LastEvaluatedKey": last}
    usual, light = both("query", answer, TableName="runs", KeyConditionExpression="pk = :pk")
    assert light == usual


@given(items=st.lists(ITEMS, max_size=3), left=st.booleans())
def test_a_batch_is_read_as_botocore_reads_it(items: Any, left: bool) -> None:
    unprocessed = {"runs": {"Keys": [KEY], "ConsistentRead": True}} if left else {}
    answer = {"Responses": {"runs": items}, "UnprocessedKeys": unprocessed}
    usual, light = both("batch_get_item", answer, RequestItems={"runs": {"Keys": [KEY]}})
    assert light == usual


RAW = st.one_of(
    st.fixed_dictionaries({"S": st.text()}),
    st.fixed_dictionaries({"B": st.binary(max_size=9)}),
    st.fixed_dictionaries({"BS": st.lists(st.binary(), min_size=1, max_size=2)}),
    st.fixed_dictionaries({"L": st.lists(st.fixed_dictionaries({"N": st.just("1")}))}),
    st.fixed_dictionaries({"M": st.dictionaries(NAMES, st.just({"BOOL": True}))}),
)


@given(item=st.dictionaries(NAMES, RAW, max_size=4), at=st.datetimes())
def test_a_request_is_written_and_signed_as_by_botocore(item: Any, at: datetime) -> None:
    put = {"Put": {"TableName": "runs", "Item": KEY | item, "ConditionExpression": "a"}}
    key = {"Update": {"TableName": "runs", "Key": KEY, "UpdateExpression": "SET a = :a"}}
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(AUTH_TYPE_MAPS, "v4", SigV4Auth)
        patch.setattr("botocore.auth.get_current_datetime", lambda: at)
        for each in (USUAL, LIGHT):
            client = each.answers(b"{}").client
            client.transact_write_items(TransactItems=[put, key], ClientRequestToken="once")
            asked.append((each.asked.url, dict(each.asked.headers), each.asked.body))
    for _, headers, _ in asked:
        # Neither is signed; botocore draws the one, and puts the other together from a set.
        headers.pop("amz-sdk-invocation-id")
        headers.pop("User-Agent")
    assert asked[0] == asked[1]


def test_a_mapping_is_written_as_an_object() -> None:
    LIGHT.answers(b"{}").client.put_item(TableName="runs", Item=MappingProxyType(KEY))
    assert json.loads(LIGHT.asked.body) == {"TableName": "runs", "Item": KEY}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"Item": null}',
        b"\xff",
        b'{"__type": "a#Denied", "message": "b"}',
    ],
)
@pytest.mark.parametrize("status", [200, 400, 500])
def test_what_is_no_answer_is_left_to_botocore(body: bytes, status: int) -> None:
    outcomes = []
    for each in (USUAL, LIGHT):
        each.answers(body, status)
        try:
            outcomes.append(repr(each.client.get_item(TableName="runs", Key=KEY)))
        except (BotoCoreError, ClientError, AttributeError, TypeError, ValueError) as error:
            outcomes.append(repr(error))
    assert outcomes[0] == outcomes[1]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> "DynamoDBClient":
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://localhost:9")
    monkeypatch.setenv("AWS_EXECUTION_ENV", "AWS_Lambda_python3.13")
    monkeypatch.setenv("AWS_SDK_UA_APP_ID", "acme")
    return dynamo_client(retry_mode="legacy")


def test_the_functions_client_is_light(client: Any) -> None:
    """botocore has no setting for the session: an update that moves it must not pass unseen."""
    session = client._endpoint.http_session
    assert isinstance(session, LightSession)
    assert session._usual._verify


def test_the_user_agent_names_what_aws_and_operators_look_for(client: Any) -> None:
    sent = []

    def hold(request: Any, **_: object) -> AWSResponse:
        sent.append(request.headers["User-Agent"].decode())
        return USUAL.answers(b"{}")._answer(request)  # type: ignore[no-any-return]

    client.meta.events.register_first("before-send.dynamodb.*", hold)
    client.get_item(TableName="runs", Key=KEY)
    assert sent[0].startswith(f"Botocore/{botocore.__version__} lang/python#")
    for part in (" exec-env/AWS_Lambda_python3.13", " app/acme"):
        assert part in sent[0]


def test_a_light_session_reads_the_files_that_botocore_reads() -> None:
    name = "dynamodb/2012-08-10/service-2"
    light, usual = (
        session.get_component("data_loader").load_data(name)
        for session in (light_session(), get_session())
    )
    assert light == usual
    assert type(light) is dict
