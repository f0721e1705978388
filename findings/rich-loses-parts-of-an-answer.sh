#!/usr/bin/env bash
# rich 15.0.0: a model's answer loses text on its way to the terminal, without a warning.
#
# - `Markdown` drops what CommonMark takes for HTML: `List<T>` outside of backticks is printed as
#   `List`, and a line that is a tag, such as <plan>, takes along the lines below it as far as the
#   next blank one.
# - `print` reads brackets as style tags and drops those it does not know: `dict[str, int]` becomes
#   `dict`. `rich.markup.escape` and `markup=False` keep them.
# - Where the output is a pipe, `print` still breaks lines at 80 columns, also within a JSON string, so
#   what comes out is no longer JSON. `print_json` and `soft_wrap=True` do not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder"/venv/bin/pip install --quiet --disable-pip-version-check rich==15.0.0
env -u COLUMNS -u FORCE_COLOR -u TTY_COMPATIBLE "$folder/venv/bin/python" - <<'PY'
import io
import json

from rich.console import Console
from rich.markdown import Markdown


def printed(what: object, **options: bool) -> str:
    console = Console(file=io.StringIO())
    console.print(what, **options)
    return console.file.getvalue().strip()


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


ANSWERS = {
    "generics": "Return a Future<T> or a List<T>.",
    "block": "<plan>\nFirst sell, then buy.\n</plan>\n\nDone.",
}
seen = {name: printed(Markdown(answer)) for name, answer in ANSWERS.items()}
seen["brackets"] = printed("Return dict[str, int].")
seen["kept"] = printed("Return dict[str, int].", markup=False)
for name, shown in seen.items():
    print(f"{name}: {shown}")
line = json.dumps({"text": "word " * 30})
piped = {
    "wrapped": is_json(printed(line)),
    "soft wrap": is_json(printed(line, soft_wrap=True)),
}
print("still JSON:", piped)
assert seen == {
    "generics": "Return a Future or a List.",
    "block": "Done.",
    "brackets": "Return dict.",
    "kept": "Return dict[str, int].",
}
assert piped == {"wrapped": False, "soft wrap": True}
PY
