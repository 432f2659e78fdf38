"""From a request's body to what the runtime takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from router_ml.errors import InvalidRequestError
from router_ml.features.query import Query, parse_query
from router_ml.runtime.constraints import Constraints
from router_ml.runtime.runtime import NO_CONSTRAINTS
from serving.schemas import Limits, RouteRequest
from serving.tool_cache import ToolCache

_LIMITS: Final = Limits.__struct_fields__


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, understood."""

    request: RouteRequest
    query: Query
    limits: Constraints
    tools: Any
    """As they were given."""


def read_ask(request: RouteRequest, tools: ToolCache) -> Ask:
    """Check what types cannot: one text, each limit once.

    Raises
    ------
    InvalidRequestError
        If there is no text or two, a limit stands twice, or its value is out of range.
    """
    if (request.query is None) == (request.messages is None):
        raise InvalidRequestError("expected either query or messages")
    try:
        given, tool_list = tools.read(request.tools)
        query = parse_query(request.messages if request.query is None else request.query, tool_list)
    except RecursionError as error:
        raise InvalidRequestError("messages or tools are nested too deeply") from error
    if not query.ask:
        raise InvalidRequestError(
            "expected text that a person asked: a non-empty query, or a message of role user"
        )
    return Ask(request, query, _limits(request), given)


def _limits(request: RouteRequest) -> Constraints:
    given = {name: value for name in _LIMITS if (value := getattr(request, name)) is not None}
    if request.constraints is not None:
        for name in _LIMITS:
            value = getattr(request.constraints, name)
            if value is None:
                continue
            if name in given:
                raise InvalidRequestError(
                    f"{name} stands at the top and in constraints; give it once"
                )
            given[name] = value
    if not given:
        return NO_CONSTRAINTS
    if "candidates" in given:
        given["candidates"] = tuple(given["candidates"])
    return Constraints(**given)
