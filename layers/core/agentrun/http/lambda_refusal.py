"""
How an authorizer refuses: by an exception, since API Gateway knows no other way to a 401.

Apart from `bearer.py`, which only reads and writes: this depends on AWS's runtime.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    _Foreseen = Exception
else:
    try:
        # AWS's runtime itself, which is there wherever it runs a handler; no layer brings it.
        from awslambdaric.lambda_runtime_exception import FaultException as _Foreseen
    except ImportError:
        _Foreseen = Exception


class RefusedTokenError(_Foreseen):
    """
    A token does not hold; API Gateway turns the message into 401.

    AWS's runtime logs one line of an exception that it foresees, and of any other one a stack
    trace, as if the function were at fault (awslambdaric 4.2, `bootstrap.py`). That line is all
    that is logged of a refusal: the reason is its `errorType`, since the gateway wants the message
    for itself.
    """

    def __init__(self, reason: str) -> None:
        # Not super()'s, which would leave the message out of str().
        Exception.__init__(self, "Unauthorized")
        self.msg = "Unauthorized"
        self.exception_type = f"token refused: {reason}"
        self.trace = None
