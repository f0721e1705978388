"""The status function's peer: one run by its key, in plain FastAPI and Mangum."""

import os
from typing import Any

import boto3
from fastapi import FastAPI
from mangum import Mangum
from pydantic import BaseModel

table = boto3.client("dynamodb")
api = FastAPI()


class Run(BaseModel):
    """What is told of a run."""

    id: str
    status: str
    output: str


@api.get("/api/agents/{agent_id}/runs/{run_id}/status")
def get_status(agent_id: str, run_id: str) -> Run:
    """Show a run."""
    key: Any = {"pk": {"S": f"PLAIN#{agent_id}"}, "sk": {"S": run_id}}
    item = table.get_item(TableName=os.environ["AGENTRUN_TABLE"], Key=key)["Item"]
    return Run(id=run_id, status=item["status"]["S"], output=item["output"]["S"])


handler = Mangum(api, lifespan="off")
