"""Which route of a REST API a request takes."""

import re
from collections.abc import Sequence
from urllib.parse import unquote

from agentrun_local.doors.gateway_answers import missing_route
from agentrun_local.doors.rest_definition import Route


class RouteTable:
    """
    Matches paths to resources as API Gateway does.

    The resource is chosen first, then the method: a fixed segment wins over `{id}`, and that over
    `{proxy+}`. A resource without the method is not there, whatever a less specific one has.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        resources = {route.resource for route in routes}
        self._patterns = [
            (resource, re.compile(_pattern(resource)))
            for resource in sorted(resources, key=_specificity)
        ]
        self._routes = {(route.resource, route.method): route for route in routes}

    def match(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """
        Find the route and the decoded path parameters.

        Args:
            method: In upper case.
            path: Percent-encoded; a slash at its end does not matter.

        Raises:
            GatewayError: There is none.
        """
        for resource, pattern in self._patterns:
            found = pattern.fullmatch(path.rstrip("/") or "/")
            if found is None:
                continue
            route = self._routes.get((resource, method)) or self._routes.get((resource, "ANY"))
            if route is None:
                raise missing_route()
            names = re.findall(r"{(\w+)\+?}", resource)
            values = [unquote(value) for value in found.groups()]
            return route, dict(zip(names, values, strict=True))
        raise missing_route()


def base_path_of(path: str, mapped: str) -> str:
    """Return the base path if a path lies below it, as a domain's mapping has it, else nothing."""
    return mapped if f"{path}/".startswith(f"{mapped}/") else ""


def _pattern(resource: str) -> str:
    escaped = re.escape(resource)
    greedy = re.sub(r"\\{\w+\\\+\\}", "(.+)", escaped)
    return re.sub(r"\\{\w+\\}", "([^/]+)", greedy)


def _specificity(resource: str) -> list[int]:
    return [
        2 if segment.endswith("+}") else 1 if segment.startswith("{") else 0
        for segment in resource.split("/")
    ]
