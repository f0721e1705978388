#!/usr/bin/env bash
# aws-sam-translator 1.115.0, `AutoPublishAlias`: a deployment that changes only a layer, the runtime or
# the handler leaves the alias where it was, and succeeds.
#
# The alias moves when the template has a version with another logical id, and that id is a hash of the
# code, the environment, the memory size and SnapStart. So for a layer with other contents CloudFormation
# makes the layer version and gives it to `$LATEST`, and callers of the alias keep the old one: the fix in
# the layer is not live, and `DeploymentPreference` has nothing to shift.
# - `AutoPublishAliasAllProperties: true` on the function moves it for runtime and handler, not for a layer:
#   what is hashed is `!Ref Layer`, which stays the same.
# - `PublishLambdaVersion: true` on the layer does nothing by itself either. A layer needs both.
# - Nor does the value of a parameter count that the environment refers to: a stack that is deployed with
#   another table's name goes on with the old table. Here neither setting helps.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder"/venv/bin/pip install --quiet --disable-pip-version-check aws-sam-translator==1.115.0
AWS_DEFAULT_REGION=eu-central-1 "$folder/venv/bin/python" - <<'PY'
import copy
import logging

from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

logging.disable()
FUNCTION = {
    "CodeUri": "s3://bucket/code-1",
    "Handler": "app.handler",
    "Runtime": "python3.13",
    "MemorySize": 512,
    "Environment": {"Variables": {"TABLE": {"Ref": "Table"}}},
    "Layers": [{"Ref": "Layer"}],
    "AutoPublishAlias": "live",
}
LAYER = {"ContentUri": "s3://bucket/layer-1"}
CHANGES = {
    "code": ({"CodeUri": "s3://bucket/code-2"}, {}),
    "environment": ({"Environment": {"Variables": {"TABLE": "constant"}}}, {}),
    "memory": ({"MemorySize": 1024}, {}),
    "runtime": ({"Runtime": "python3.14"}, {}),
    "handler": ({"Handler": "other.handler"}, {}),
    "layer": ({}, {"ContentUri": "s3://bucket/layer-2"}),
    "parameter": ({}, {}),
}


def deployed(function: dict, layer: dict, table: str = "one") -> tuple[str, str]:
    """Return the logical ids of the function's version and of the layer's."""
    resources = {
        "Function": {"Type": "AWS::Serverless::Function", "Properties": function},
        "Layer": {"Type": "AWS::Serverless::LayerVersion", "Properties": layer},
    }
    template = {
        "Transform": "AWS::Serverless-2016-10-31",
        "Parameters": {"Table": {"Type": "String"}},
        "Resources": copy.deepcopy(resources),
    }
    stack = Translator({}, Parser()).translate(template, {"Table": table})
    ids = {resource["Type"]: name for name, resource in stack["Resources"].items()}
    return ids["AWS::Lambda::Version"], ids["AWS::Lambda::LayerVersion"]


def moves(function: dict | None = None, layer: dict | None = None) -> dict[str, bool]:
    """Say for each change whether it makes a new version, which is what moves the alias."""
    function, layer = FUNCTION | (function or {}), LAYER | (layer or {})
    before = deployed(function, layer)
    seen = {}
    for name, (of_function, of_layer) in CHANGES.items():
        table = "two" if name == "parameter" else "one"
        after = deployed(function | of_function, layer | of_layer, table)
        assert (after[1] != before[1]) == (name == "layer"), "only the layer's change makes a new layer"
        seen[name] = after[0] != before[0]
    return seen


seen = {
    "default": moves(),
    "all properties": moves({"AutoPublishAliasAllProperties": True}),
    "layer publishes": moves(layer={"PublishLambdaVersion": True}),
    "both": moves({"AutoPublishAliasAllProperties": True}, {"PublishLambdaVersion": True}),
}
moved = {name: [change for change, moves in facts.items() if moves] for name, facts in seen.items()}
for name, changes in moved.items():
    print(f"{name}: the alias moves for", ", ".join(changes))
ALWAYS = ["code", "environment", "memory"]
assert moved == {
    "default": ALWAYS,
    "all properties": [*ALWAYS, "runtime", "handler"],
    "layer publishes": ALWAYS,
    "both": [*ALWAYS, "runtime", "handler", "layer"],
}
PY
