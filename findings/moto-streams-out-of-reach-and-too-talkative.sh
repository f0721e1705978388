#!/usr/bin/env bash
# DynamoDB Streams in moto: gone with a newer boto3, and with one record too many with an older one.
#
# moto 5.2.5 serves a table's stream to boto3 1.43.108. To boto3 1.44.8 it answers DescribeStream with 404,
# "Not yet implemented", though the table's description still names the stream: an upgrade of boto3 alone
# breaks tests of consumers.
# Where it works, an update that changes nothing leaves a MODIFY record. DynamoDB writes none ("Change data
# capture for DynamoDB Streams", developer guide), so a consumer that is tested on moto alone sees events
# that it will never get.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/told.py" <<'PY'
import boto3
from botocore.exceptions import ClientError
from moto import mock_aws

RED = {"pk": {"S": "kept"}, "colour": {"S": "red"}}

with mock_aws():
    table = boto3.client("dynamodb")
    arn = table.create_table(
        TableName="t",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )["TableDescription"]["LatestStreamArn"]
    table.put_item(TableName="t", Item=RED)
    table.update_item(
        TableName="t",
        Key={"pk": RED["pk"]},
        UpdateExpression="SET colour = :same",
        ExpressionAttributeValues={":same": RED["colour"]},
    )
    streams = boto3.client("dynamodbstreams")
    try:
        (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        iterator = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        records = streams.get_records(ShardIterator=iterator)["Records"]
        print(*(record["eventName"] for record in records))
    except ClientError as error:
        print(error.response["Error"]["Code"], error.response["Error"]["Message"])
PY
told_by() {
  python3 -m venv --clear "$folder/venv"
  "$folder"/venv/bin/pip install --quiet --disable-pip-version-check 'moto[dynamodb]==5.2.5' "boto3==$1"
  AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x AWS_DEFAULT_REGION=eu-west-1 "$folder/venv/bin/python" "$folder/told.py"
}
older=$(told_by 1.43.108) newer=$(told_by 1.44.8)
echo "boto3 1.43.108: $older"
echo "boto3 1.44.8: $newer"
[ "$older" = "INSERT MODIFY" ] || exit 1
[ "$newer" = "404 Not yet implemented" ] || exit 1
