"""
Run any ASGI app on AWS Lambda's managed Python runtime with response streaming.

Name a `StreamingHandler(app)` as the function's `Handler`. With the `bootstrap` exec wrapper
(`python -m lambda_asgi`), the app's body messages are streamed one by one over the Runtime API;
without it, the same handler answers buffered.

The context variables `request_id` and `trace_id` name the current task's invocation, and are None
outside of one. `scope["aws.context"]` has the whole Lambda context, `scope["aws.event"]` the
unchanged event.
"""

from lambda_asgi.context import LambdaContext, request_id, trace_id
from lambda_asgi.handler import StreamingHandler

__all__ = ["LambdaContext", "StreamingHandler", "request_id", "trace_id"]
