"""The options of `agentrun webhooks listen`, apart from what the command needs to run."""

import argparse

DEFAULT_PORT = 8004


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options: where to listen, whose webhooks, and for how many."""
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="default: %(default)s; 0: any free port"
    )
    parser.add_argument("--secret", help="whsec_…; default: the local stack's own")
    parser.add_argument(
        "--count", type=int, metavar="N", help="end after N webhooks; default: at Ctrl-C"
    )
    parser.add_argument("--json", action="store_true", help="print each as one line of JSON")
