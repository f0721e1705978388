"""
What `make template-check` adds to `sam validate --lint`: cfn-lint on the translated template.

cfn-lint 1.58, which `sam validate --lint` calls, looks at a SAM template without translating it.
What SAM passes on as it is, a runtime or a time-out for example, is then checked by nobody. So
SAM's own translator makes of it what CloudFormation gets, without a network, and that is linted.
"""

import json
import logging
import sys

from cfnlint.api import lint  # type: ignore[import-untyped] # no stubs exist
from samtranslator.model.exceptions import (  # type: ignore[import-untyped] # no stubs exist
    InvalidDocumentException,
)

from tests.translated_template import ROOT, translated

# What is allowed instead may be a list of fifty names.
_LONGEST_MESSAGE = 200


def findings(text: str) -> list[str]:
    """Tell what is wrong with a SAM template: errors and warnings, each with its rule and place."""
    try:
        template = translated(text)
    except InvalidDocumentException as error:
        return [f"SAM: {cause.message}" for cause in error.causes]
    # The place is a path: line numbers would be those of the translated text.
    return [
        f"{match.rule.id} {'/'.join(map(str, vars(match).get('path', ())))}: "
        f"{match.message[:_LONGEST_MESSAGE]}"
        for match in lint(json.dumps(template))
    ]


def main() -> int:
    """Print the findings; 1 if there are any."""
    # It says each time that some feature toggle is not configured.
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    found = findings((ROOT / "template.yaml").read_text(encoding="utf-8"))
    sys.stdout.write("".join(f"template.yaml, translated: {line}\n" for line in found))
    return bool(found)


if __name__ == "__main__":
    raise SystemExit(main())
