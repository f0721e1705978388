#!/usr/bin/env bash
# genai-prices 0.2.3: `input_tokens` must include cached tokens. Anthropic and Bedrock report them
# separately, so passing their usage on unchanged either raises or, with fewer cached tokens than
# fresh ones, returns too low a price.
#
# Also: on Bedrock, an id without a geography is priced as a regional profile, a tenth above
# `global.`; and Nova 2 Lite has a price only with a geography in front.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder"/venv/bin/pip install --quiet --disable-pip-version-check genai-prices==0.2.3
"$folder/venv/bin/python" - <<'PY'
from genai_prices import Usage, calc_price


def price(model: str, provider: str = "aws", **usage: int) -> str:
    try:
        return str(calc_price(Usage(**usage), model_ref=model, provider_id=provider).total_price.normalize())
    except (LookupError, ValueError) as error:
        return type(error).__name__


SONNET = "claude-sonnet-4-5"
MILLION = {"input_tokens": 1_000_000, "output_tokens": 1_000_000}
seen = {
    # Anthropic reports 1 000 fresh and 800 cached tokens as input 1000, cache read 800.
    "as reported": price(SONNET, "anthropic", input_tokens=1_000, cache_read_tokens=800),
    "all counted in": price(SONNET, "anthropic", input_tokens=1_800, cache_read_tokens=800),
    "more cached than fresh": price(SONNET, "anthropic", input_tokens=1_000, cache_read_tokens=5_000),
    "bare": price("anthropic.claude-sonnet-4-5-20250929-v1:0", **MILLION),
    "eu": price("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", **MILLION),
    "global": price("global.anthropic.claude-sonnet-4-5-20250929-v1:0", **MILLION),
    "bare nova 2": price("amazon.nova-2-lite-v1:0", **MILLION),
    "us nova 2": price("us.amazon.nova-2-lite-v1:0", **MILLION),
}
print(seen)
assert seen == {
    "as reported": "0.00084",
    "all counted in": "0.00324",
    "more cached than fresh": "ValueError",
    "bare": "19.8",
    "eu": "19.8",
    "global": "18",
    "bare nova 2": "LookupError",
    "us nova 2": "3.08",
}
PY
