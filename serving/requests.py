"""From a request's body to what the runtime takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from router_ml.errors import InvalidRequestError
from router_ml.features.query import Query, parse_query
from router_ml.runtime.constraints import NO_CONSTRAINTS, Constraints, requiring
from serving.control.sessions import Conversation
from serving.control.turn import Turn
from serving.http.call import NO_CALL, Call
from serving.http.errors import HttpError
from serving.keys import Tenant
from serving.loading.loader import Router
from serving.schemas import Limits, RouteRequest
from serving.tool_cache import ToolCache

_LIMITS: Final = Limits.__struct_fields__
_WITHOUT_TEXT: Final = frozenset({"vision", "audio", "video", "documents"})
"""What may be asked about without a word."""


@dataclass(frozen=True, slots=True)
class Trial:
    """An experiment, and the arm of it that a request belongs to.

    Parameters
    ----------
    experiment : its name
    share : of units that the challenger serves
    unit : hash of what is assigned as a whole
    champion, challenger : in service when the request came
    is_challenger : whether the unit is the challenger's
    """

    experiment: str
    share: float
    unit: str
    champion: Router
    challenger: Router
    is_challenger: bool

    @property
    def router(self) -> Router:
        """Who decides."""
        return self.challenger if self.is_challenger else self.champion


@dataclass(frozen=True, slots=True)
class Ask:
    """A validated request with its parsed query and limits.

    Parameters
    ----------
    tools : as they were given
    call : that brought it
    tenant : on whose behalf it is made
    conversation : whose turn it is, where that is priced
    turn : what the service keeps of it until its feedback comes
    trial : the experiment that it is part of
    """

    request: RouteRequest
    query: Query
    limits: Constraints
    tools: Any
    call: Call = NO_CALL
    tenant: str | None = None
    conversation: Conversation | None = None
    turn: Turn | None = None
    trial: Trial | None = None

    @property
    def session_id(self) -> str | None:
        """As the caller names it."""
        request = self.request
        return request.session_id if request.session is None else request.session.id


def read_ask(
    request: RouteRequest,
    tools: ToolCache,
    *,
    call: Call = NO_CALL,
    max_messages: int = 10_000,
    tenants: Mapping[str, Tenant] | None = None,
) -> Ask:
    """Check what types cannot: one text, each limit once, not too many parts.

    Raises
    ------
    InvalidRequestError
        If there is no text or two, a limit or the session stands twice, or a value is out of range.
    HttpError
        403 if the key may not name a tenant.
    """
    if (request.query is None) == (request.messages is None):
        raise InvalidRequestError("expected either query or messages")
    if request.messages is not None:
        _check_size(request.messages, max_messages)
    try:
        given, tool_list = tools.read(request.tools)
        query = parse_query(request.messages if request.query is None else request.query, tool_list)
    except RecursionError as error:
        raise InvalidRequestError("messages or tools are nested too deeply") from error
    if not query.ask and not query.needs.intersection(_WITHOUT_TEXT):
        raise InvalidRequestError(
            "expected text that a person asked: a non-empty query, or a message of role user"
        )
    if request.session is not None and None not in (request.session.id, request.session_id):
        raise InvalidRequestError("expected either session.id or session_id")
    tenant = _tenant(request, call)
    permitted = _permitted(call, tenants.get(tenant) if tenants and tenant else None)
    limits = _limits(request, permitted).of(query)
    return Ask(request, query, limits, given, call, tenant)


def _tenant(request: RouteRequest, call: Call) -> str | None:
    if request.tenant is None or request.tenant == call.tenant:
        return call.tenant
    if call.key is not None and not call.key.sets_tenant:
        raise HttpError(403, "this key may not name a tenant; see sets_tenant of the keys file")
    return request.tenant


def _check_size(messages: list[Any], most: int) -> None:
    """Refuse more messages and content parts, at any depth, than are read in a moment."""
    n, stack = 0, [messages]
    while stack:
        items = stack.pop()
        n += len(items)
        if n > most:
            raise InvalidRequestError(
                f"expected at most {most} messages and content parts together; send the last ones"
            )
        for item in items:
            content = item.get("content") if type(item) is dict else None
            if type(content) is list:
                stack.append(content)


def _permitted(call: Call, tenant: Tenant | None) -> tuple[str, ...] | None:
    """Candidates that both the key and the tenant allow; ``None`` = all."""
    of_key = None if call.key is None else call.key.candidates
    if tenant is None or of_key is None:
        return of_key if tenant is None else tenant.candidates
    return tuple(name for name in of_key if name in tenant.candidates)


def _limits(request: RouteRequest, permitted: tuple[str, ...] | None) -> Constraints:
    given: dict[str, Any] = {
        name: value for name in _LIMITS if (value := getattr(request, name)) is not None
    }
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
    if permitted is not None:
        given["permitted"] = permitted
    if not given and request.response_format is None and request.reasoning_effort is None:
        return NO_CONSTRAINTS
    needs = _needs(request, given.pop("requires", ()))
    if not given:
        return requiring(needs)
    if "candidates" in given:
        given["candidates"] = tuple(given["candidates"])
    return Constraints(**given, requires=needs)


def _needs(request: RouteRequest, required: Iterable[str]) -> tuple[str, ...]:
    """Capabilities that the request names, or needs for the answer it wants."""
    needs = set(required)
    if request.response_format is not None and request.response_format.type != "text":
        needs.add(request.response_format.type)
    if request.reasoning_effort not in (None, "none"):
        needs.add("reasoning")
    return tuple(sorted(needs))
