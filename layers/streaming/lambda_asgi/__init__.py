"""
Run any ASGI app on AWS Lambda's managed Python runtime with response streaming.

`StreamingHandler(app)` is what a function's `Handler` names. Started through the `bootstrap` exec
wrapper (`python -m lambda_asgi`), the app's body messages leave one by one over the Runtime API;
wherever the wrapper is absent, the same handler answers buffered.

`request_id` and `trace_id` are context variables that name the invocation the calling task works
for; both are None outside of one. The whole Lambda context is in `scope["aws.context"]`, the event
as it came in `scope["aws.event"]`.
"""

from lambda_asgi.context import LambdaContext, request_id, trace_id
from lambda_asgi.handler import StreamingHandler

__all__ = ["LambdaContext", "StreamingHandler", "request_id", "trace_id"]
