"""The authorizer's peer: a token checked in a dependency of plain FastAPI and Mangum."""

import os
from typing import Annotated, Any

import jwt
from fastapi import Depends, FastAPI, Header
from mangum import Mangum

keys = jwt.PyJWKSet.from_json(os.environ["AGENTRUN_JWKS"])
api = FastAPI()


def caller(authorization: Annotated[str, Header()]) -> dict[str, Any]:
    """Check the token."""
    token = authorization.removeprefix("Bearer ")
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, Any] = jwt.decode(
        token,
        key,
        algorithms=["ES256"],
        audience=os.environ["AGENTRUN_JWT_AUDIENCE"],
        issuer=os.environ["AGENTRUN_JWT_ISSUER"],
    )
    return claims


@api.get("/api/agents/{agent_id}/runs/{run_id}/status")
def get_status(run_id: str, claims: Annotated[dict[str, Any], Depends(caller)]) -> dict[str, str]:
    """Tell whose request it is."""
    return {"id": run_id, "user": claims["sub"]}


handler = Mangum(api, lifespan="off")
