#!/usr/bin/env bash
# genai-prices: any server that speaks OpenAI's protocol is billed at OpenAI's prices.
#
# genai-prices 0.1.13 finds a provider by patterns, and the one of OpenAI matches the provider id
# `openai-compatible`. So the cost of a model on a server of one's own, whose name happens to be one of
# OpenAI's, is reckoned with OpenAI's price, where a LookupError was to be expected. Who limits spending by
# these prices has to tell such servers apart before the look-up.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder"/venv/bin/pip install --quiet --disable-pip-version-check genai-prices==0.1.13
"$folder/venv/bin/python" - <<'PY'
from genai_prices import Usage, calc_price

usage = Usage(input_tokens=1_000_000, output_tokens=1_000_000)
prices = {
    provider: calc_price(usage, "gpt-4o", provider_id=provider).total_price
    for provider in ("openai", "openai-compatible")
}
print("a million tokens each way:", {name: f"{price} USD" for name, price in prices.items()})
assert prices["openai"] == prices["openai-compatible"] > 0
try:
    calc_price(usage, "gpt-4o", provider_id="some-server")
except LookupError as error:
    print("of any other name:", type(error).__name__)
else:
    raise AssertionError("a price for a provider that is not known")
PY
