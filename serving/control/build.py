"""The control that the settings ask for."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable

from serving.control.budget_file import read_budgets
from serving.control.budgets import Budgets
from serving.control.control import Control
from serving.control.health import Health
from serving.control.link import Link
from serving.control.sessions import Sessions
from serving.settings import Settings
from serving.watched_file import WatchedFile


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


def watch_budgets(settings: Settings, budgets: Budgets) -> WatchedFile | None:
    """Puts the budgets file in force whenever it changes; ``None`` without one."""
    path = settings.budgets_file
    if path is None:
        return None

    def read() -> None:
        budgets.budgets = read_budgets(path)

    return WatchedFile(
        what="budgets file", path=path, poll_interval_s=settings.poll_interval_s, read=read
    )
