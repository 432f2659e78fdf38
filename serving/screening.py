"""Semantic routes and guards in the service: what they find becomes rules of a request.

``ROUTER_SERVE_RULES_FILE`` names a JSON file::

    {"semantic_routes": {"folder": "routes", "routes": {"law": {"candidates": ["large"]}}},
     "guards": [{"name": "personal-data", "url": "http://127.0.0.1:8090",
                 "requires": ["region:eu"]}]}
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from router_ml.errors import ConfigError
from router_ml.guards.guard import Guard, GuardRule
from router_ml.guards.remote import RemoteGuard
from router_ml.guards.texts import texts_of
from router_ml.runtime.rule import Rule
from router_ml.semantic_routes.matcher import SemanticRoutes
from serving.requests import Ask

_TARGET: Final = frozenset({"candidates", "requires"})
_OF_GUARD: Final = frozenset(inspect.signature(GuardRule).parameters) - {"guard"}


@dataclass(frozen=True, slots=True)
class Screening:
    """What looks at a request before it is scored.

    Parameters
    ----------
    routes : fitted routes, if there are any
    targets : the rule of each route that has one
    guards : asked at the same time
    """

    routes: SemanticRoutes | None = None
    targets: Mapping[str, Rule] | None = None
    guards: tuple[GuardRule, ...] = ()

    @classmethod
    def from_file(cls, path: Path) -> Screening:
        """Read a rules file; folders in it are relative to its own.

        Raises
        ------
        ConfigError
            If a key is unknown, or a value is not as declared.
        """
        try:
            given = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"expected a JSON file of rules at {path}: {error}") from error
        _check_keys(given, {"semantic_routes", "guards"}, f"{path}")
        routes, targets = None, {}
        if "semantic_routes" in given:
            part = given["semantic_routes"]
            _check_keys(part, {"folder", "routes"}, "semantic_routes")
            routes = SemanticRoutes.from_folder(path.parent / str(part.get("folder", "routes")))
            targets = _targets(part.get("routes", {}), routes.names)
        guards = given.get("guards", [])
        if not isinstance(guards, list):
            raise ConfigError(f"guards must be a list of objects, got {type(guards).__name__}")
        return cls(routes, targets, tuple(_guard_rule(guard) for guard in guards))

    async def screened(self, ask: Ask) -> Ask:
        """The ask, with the rules that hold for it."""
        rules = await self._rules(ask)
        return replace(ask, limits=ask.limits.with_rules(rules)) if rules else ask

    def screened_now(self, ask: Ask) -> Ask:
        """As :meth:`screened`, off the event loop; one guard after the other."""
        rules = list(self._route_rules(ask))
        if self.guards:
            texts = _texts(ask)
            rules += [rule for guard in self.guards for rule in guard.rules(texts)]
        return replace(ask, limits=ask.limits.with_rules(tuple(rules))) if rules else ask

    def close(self) -> None:
        """Begin no further checks."""
        for guard in self.guards:
            guard.close()

    async def _rules(self, ask: Ask) -> tuple[Rule, ...]:
        checks = []
        if self.guards:
            texts = _texts(ask)
            checks = [asyncio.ensure_future(guard.rules_soon(texts)) for guard in self.guards]
        if self.routes is not None and self.routes.is_slow:
            found = await asyncio.to_thread(self._route_rules, ask)
        else:
            found = self._route_rules(ask)
        return found + tuple(rule for rules in await asyncio.gather(*checks) for rule in rules)

    def _route_rules(self, ask: Ask) -> tuple[Rule, ...]:
        if self.routes is None or not ask.query.ask:
            return ()
        match = self.routes.match(ask.query)
        rule = (self.targets or {}).get(match.name or "")
        return () if rule is None else (rule,)


NO_SCREENING: Final = Screening()


def _texts(ask: Ask) -> list[str]:
    request = ask.request
    return texts_of(request.query if request.messages is None else request.messages)


def _targets(given: Any, names: tuple[str, ...]) -> dict[str, Rule]:
    _check_keys(given, set(names), "semantic_routes.routes")
    rules = {}
    for name, target in given.items():
        _check_keys(target, _TARGET, f"semantic_routes.routes.{name}")
        rules[name] = Rule(name=f"route:{name}", **_lists(target, f"route {name}"))
    return rules


def _guard_rule(given: Any) -> GuardRule:
    _check_keys(given, _OF_GUARD | {"url", "factory", "options"}, "a guard")
    name = given.get("name")
    if not isinstance(name, str) or not name:
        raise ConfigError(f"a guard needs a name, got {name!r}")
    own = {key: value for key, value in given.items() if key in _OF_GUARD}
    own |= _lists(own, f"guard {name}")
    for key in ("timeout_ms", "threads"):
        if isinstance(own.get(key, 1), bool) or not isinstance(own.get(key, 1), int | float):
            raise ConfigError(f"guard {name}: {key} must be a number, got {own[key]!r}")
    return GuardRule(guard=_guard(given, name), **own)


def _guard(given: Mapping[str, Any], name: str) -> Guard:
    """A server's address, or ``module:callable``, called with ``options``."""
    if ("url" in given) == ("factory" in given):
        raise ConfigError(f"guard {name} needs either url or factory")
    if "url" in given:
        limit = {"timeout_ms": given["timeout_ms"]} if "timeout_ms" in given else {}
        return RemoteGuard(url=str(given["url"]), **limit)
    module, _, attribute = str(given["factory"]).partition(":")
    try:
        made: Guard = getattr(importlib.import_module(module), attribute)(
            **given.get("options", {})
        )
    except Exception as error:  # whatever a foreign module raises, the service must say where
        raise ConfigError(
            f"guard {name}: {given['factory']} cannot be made: {type(error).__name__}: {error}"
        ) from error
    return made


def _lists(given: Mapping[str, Any], what: str) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key in ("candidates", "requires", "labels"):
        if key in given:
            names = given[key]
            if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
                raise ConfigError(f"{what}: {key} must be a list of names, got {names!r}")
            out[key] = tuple(names)
    return out


def _check_keys(given: Any, known: set[str] | frozenset[str], where: str) -> None:
    if not isinstance(given, dict) or (unknown := sorted(set(given) - known)):
        got = unknown if isinstance(given, dict) else type(given).__name__
        raise ConfigError(f"{where}: expected an object of {', '.join(sorted(known))}, got {got}")
