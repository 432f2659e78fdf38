"""What LiteLLM loads for ``router-ml gateway``: ``hook`` and ``cascade``, made when asked for.

LiteLLM names instances by module and attribute, so they are attributes here; nothing is made at
import.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from router_ml.cascade.client import Decides
from router_ml.errors import ConfigError
from router_ml.integrations.litellm.callbacks import RouterHook
from router_ml.integrations.litellm.cascade import CascadeProvider
from router_ml.integrations.litellm.deciders import (
    BundleDecider,
    Decider,
    RandomDecider,
    ServiceDecider,
)
from router_ml.integrations.litellm.log import PayloadLog
from router_ml.integrations.litellm.proxy_config import (
    AUTO,
    CASCADE,
    KEY_VARIABLE,
    SETTINGS_VARIABLE,
    GatewaySettings,
)

_KEPT: Final = 16
"""Connections to the service that are kept for cascades."""


def __getattr__(name: str) -> Any:
    makers: dict[str, Callable[[], Any]] = {"hook": make_hook, "cascade": make_cascade}
    if name not in makers:
        raise AttributeError(f"module {__name__} has no attribute {name!r}")
    return makers[name]()


@cache
def settings() -> GatewaySettings:
    """Of this process; ConfigError without them."""
    path = os.environ.get(SETTINGS_VARIABLE)
    if not path:
        raise ConfigError(f"{SETTINGS_VARIABLE} must name gateway.json; run `router-ml gateway`")
    return GatewaySettings.read(Path(path))


@cache
def make_hook() -> RouterHook:
    """The callback of this process."""
    given = settings()
    return RouterHook(
        decider=_decider(given),
        models=(AUTO, CASCADE),
        undecided=(CASCADE,),
        settled=make_cascade().settled if given.router else None,
        candidates=given.candidates,
        default=given.default,
        log=PayloadLog(given.log),
    )


@cache
def make_cascade() -> CascadeProvider:
    """The cascade of this process."""
    given = settings()
    return CascadeProvider(
        decides=_decides(given),
        default=given.default,
        max_depth=given.max_depth,
        max_cost_usd=given.max_cost_usd,
        max_seconds=given.max_seconds,
    )


def _decider(given: GatewaySettings) -> Decider:
    if not given.router:
        return RandomDecider(given.candidates)
    if given.is_service:
        return ServiceDecider(
            url=given.router,
            api_key=os.environ.get(KEY_VARIABLE),
            timeout_s=given.timeout_ms / 1e3,
        )
    return BundleDecider(given.router)


def _decides(given: GatewaySettings) -> Callable[[Mapping[str, Any]], Decides]:
    if given.is_service:
        from router_ml.client.cascade_endpoint import CascadeEndpoint
        from router_ml.client.connection import Connections

        key = os.environ.get(KEY_VARIABLE)
        timeout_s = max(1.0, given.timeout_ms / 1e3)
        connections = Connections(url=given.router, kept=_KEPT)

        def asks(chat: Mapping[str, Any]) -> Decides:
            body = {name: value for name, value in chat.items() if name != "traceparent"}
            return CascadeEndpoint(
                url=given.router,
                request=body,
                api_key=key,
                timeout_s=timeout_s,
                traceparent=chat.get("traceparent"),
                connections=connections,
            )

        return asks
    from router_ml.bundle.files import read_bundle
    from router_ml.cascade.runtime.cascade import CascadeRuntime
    from router_ml.runtime.runtime import Runtime

    bundle = read_bundle(Path(given.router))
    runtime = CascadeRuntime(bundle=bundle, runtime=Runtime(bundle=bundle))
    return lambda chat: runtime
