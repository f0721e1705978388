"""CloudFormation's intrinsic functions, resolved to plain values."""

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from agentrun_local.errors import TemplateError

_PLACEHOLDER = re.compile(r"\$\{([^!}][^}]*)\}")
_NO_VALUE = object()


class Resolver:
    """
    Resolves `Ref`, `Fn::GetAtt`, `Fn::Sub`, `Fn::If` and the like.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html
    """

    def __init__(
        self,
        *,
        refs: Mapping[str, Any],
        attribute: Callable[[str, str], str],
        conditions: Mapping[str, Any],
        mappings: Mapping[str, Any],
    ) -> None:
        """Take the values of `Ref` and `Fn::GetAtt`, and two sections of the template."""
        self._refs = refs
        self._attribute = attribute
        self._conditions = conditions
        self._mappings = mappings
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Condition": self.condition,
            "Fn::GetAtt": self._get_att,
            "Fn::Sub": self._sub,
            "Fn::If": self._if,
            "Fn::Equals": lambda a: self._all(a)[0] == self._all(a)[1],
            "Fn::And": lambda a: all(self._all(a)),
            "Fn::Or": lambda a: any(self._all(a)),
            "Fn::Not": lambda a: not self._all(a)[0],
            "Fn::Join": lambda a: str(a[0]).join(str(v) for v in self.resolve(a[1])),
            "Fn::Select": lambda a: self.resolve(a[1])[int(self.resolve(a[0]))],
            "Fn::Split": lambda a: str(self.resolve(a[1])).split(str(a[0])),
            "Fn::FindInMap": self._find_in_map,
        }

    def resolve(self, value: Any) -> Any:
        """
        Return the value without intrinsic functions, as CloudFormation would see it.

        Raises:
            TemplateError: It uses a function or a name that is not known here.
        """
        if isinstance(value, list):
            resolved = [self.resolve(item) for item in value]
            return [item for item in resolved if item is not _NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            name, argument = next(iter(value.items()))
            if name in self._functions:
                return self._functions[name](argument)
            if str(name).startswith("Fn::"):
                raise TemplateError(f"The local stack does not know the function {name}.")
        resolved_items = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved_items.items() if item is not _NO_VALUE}

    def condition(self, name: str) -> bool:
        """Evaluate a condition of the template by its name."""
        if name not in self._conditions:
            raise TemplateError(f"The template has no condition '{name}'.")
        return bool(self.resolve(self._conditions[name]))

    def _all(self, arguments: Any) -> list[Any]:
        return cast("list[Any]", self.resolve(arguments))

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _NO_VALUE
        if name not in self._refs:
            raise TemplateError(f"The template refers to '{name}', which does not exist.")
        return self._refs[name]

    def _get_att(self, argument: Any) -> str:
        resource, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
        return self._attribute(resource, attribute)

    def _sub(self, argument: Any) -> str:
        text, variables = (argument, {}) if isinstance(argument, str) else argument

        def replace(match: re.Match[str]) -> str:
            name = match[1]
            if name in variables:
                return str(self.resolve(variables[name]))
            return str(self._get_att(name) if "." in name else self._ref(name))

        return _PLACEHOLDER.sub(replace, text).replace("${!", "${")

    def _if(self, arguments: list[Any]) -> Any:
        name, then, otherwise = arguments
        return self.resolve(then if self.condition(name) else otherwise)

    def _find_in_map(self, arguments: list[Any]) -> Any:
        name, first, second = self._all(arguments)
        try:
            return self._mappings[name][first][second]
        except KeyError as error:
            raise TemplateError(f"The mapping '{name}' has no entry {first}/{second}.") from error
