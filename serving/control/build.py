"""The control that the settings ask for."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable

from serving.control.budgets import Budgets
from serving.control.control import Control
from serving.control.health import Health
from serving.control.link import Link
from serving.control.sessions import Sessions
from serving.settings import Settings


def build_control(settings: Settings, names: Callable[[], tuple[str, ...]]) -> Control:
    """Sessions, health and budgets of the candidates that ``names`` gives, nothing known yet."""
    link = None
    if settings.redis_url:
        name = f"{os.getpid()}-{secrets.token_hex(4)}"
        link = Link(url=settings.redis_url, name=name, ttl_s=settings.session_ttl_s)
    return Control(
        sessions=Sessions(kept_bytes=settings.session_bytes, ttl_s=settings.session_ttl_s)
        if settings.session_bytes
        else None,
        health=Health(
            failures=settings.breaker_failures,
            pause_s=settings.breaker_pause_s,
            quantile=settings.ttft_quantile,
        ),
        budgets=Budgets(),
        derives_sessions=settings.derive_sessions,
        link=link,
        names=names,
    )
