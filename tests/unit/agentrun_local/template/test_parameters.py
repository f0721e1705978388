"""Parameters obey the template's rules, as in CloudFormation."""

from pathlib import Path
from typing import Any

import pytest

from agentrun_local.errors import TemplateError
from agentrun_local.template.cloudformation import load_resources
from agentrun_local.template.parameters import check_values

TEMPLATE = Path(__file__).resolve().parents[4] / "template.yaml"
TEXT: dict[str, Any] = {"Type": "String"}
NUMBER: dict[str, Any] = {"Type": "Number"}
LIST: dict[str, Any] = {"Type": "CommaDelimitedList"}


@pytest.mark.parametrize(
    ("definition", "value", "complaint"),
    [
        (TEXT | {"AllowedPattern": "[a-z]+"}, "ab1", "must match [a-z]+"),
        (TEXT | {"AllowedPattern": r"\d+"}, "٣", r"must match \d+"),
        (TEXT | {"AllowedPattern": "x", "ConstraintDescription": "must be x"}, "y", "must be x"),
        (TEXT | {"AllowedValues": ["a", "b"]}, "c", "must be one of a, b"),
        (TEXT | {"AllowedValues": [True, False]}, "yes", "must be one of true, false"),
        (TEXT | {"MinLength": 2}, "a", "must have at least 2 characters"),
        (TEXT | {"MaxLength": "2"}, "abc", "must have at most 2 characters"),
        (NUMBER, "lots", "must be a number"),
        (NUMBER, "nan", "must be a number"),
        (NUMBER, "1_0", "must be a number"),
        (NUMBER | {"MinValue": 5}, "4.9", "must be at least 5"),
        (NUMBER | {"MaxValue": 5}, "6", "must be at most 5"),
        (NUMBER | {"AllowedValues": [1, 3]}, "2", "must be one of 1, 3"),
        (LIST | {"AllowedValues": ["a", "b"]}, "a, c", "must be one of a, b"),
        ({"Type": "List<Number>", "MaxValue": 5}, "1,6", "must be at most 5"),
    ],
)
def test_a_value_that_breaks_a_rule_is_refused_by_name(
    definition: dict[str, Any], value: str, complaint: str
) -> None:
    with pytest.raises(TemplateError) as caught:
        check_values({"P": definition}, {"P": value})
    assert str(caught.value) == f"The parameter P={value}: {complaint}."


@pytest.mark.parametrize(
    ("definition", "value"),
    [
        (TEXT | {"AllowedPattern": "demo|bedrock:.+", "MinLength": 1, "MaxLength": 99}, "demo"),
        (TEXT | {"AllowedValues": [True, False]}, "true"),
        (NUMBER | {"MinValue": 0, "MaxValue": 5, "AllowedValues": [1, "3"]}, "3"),
        (NUMBER, "-1.5e3"),
        (LIST | {"AllowedPattern": "[a-z]"}, "a, b"),
        # Java's, which Python cannot judge: CloudFormation will.
        (TEXT | {"AllowedPattern": r"\p{Lu}+"}, "x"),
    ],
)
def test_a_value_that_keeps_the_rules_is_taken(definition: dict[str, Any], value: str) -> None:
    check_values({"P": definition}, {"P": value})


def test_every_value_at_fault_is_named_and_no_secret_is_shown() -> None:
    declared = {"A": NUMBER, "B": TEXT | {"NoEcho": True, "MinLength": 9}, "C": NUMBER}
    with pytest.raises(TemplateError) as caught:
        check_values(declared, {"A": "x", "B": "secret", "C": "1"})
    assert str(caught.value) == (
        "The parameter A=x: must be a number. The parameter B: must have at least 9 characters."
    )


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("LogRetentionDays", "8", "must be one of 1, 3, 5"),
        ("CorsOrigins", "https://app.example/path", "without a path"),
        ("ModelIdleTimeout", "1", "must be at least 5"),
        ("Jwks", "x" * 951, "must have at most 950 characters"),
        ("Audience", "", "must have at least 1 characters"),
    ],
)
def test_this_projects_template_is_obeyed(name: str, value: str, complaint: str) -> None:
    given = {"Issuer": "https://issuer.test", "Audience": "me", name: value}
    with pytest.raises(TemplateError, match=f"The parameter {name}=.*{complaint}"):
        load_resources(TEMPLATE, given)
