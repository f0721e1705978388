"""The command `agentrun` with one invocation a process, as on Lambda: a kill hits one run."""

import sys

from agentrun_local import cli
from agentrun_local.template import resources

if __name__ == "__main__":
    resources.STREAM_CONCURRENCY = 1
    sys.exit(cli.main())
