"""The budgets file: caps per tenant, key or tag over hours, days or months.

``{"budgets": [{"name": "team-day", "usd": 50, "window": "day", "per": "tenant"}]}``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from router_ml.errors import ConfigError

Window = Literal["hour", "day", "month"]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One cap; each tenant, key or tag value has an account of its own.

    Parameters
    ----------
    name : stands in metrics, answers and the log
    usd : cap of a window, US dollars, > 0
    window : calendar hour, day or month, UTC
    per : ``tenant``, ``key``, ``tag`` (each of a list of tags) or ``tag:NAME`` (values of that
        tag); ``None`` = one account for all requests
    only : hold for this tenant, key or tag value alone
    rises_from : share of the cap from which on cost weighs more, in [0, 1)
    beyond : what happens once the cap is reached: the ``cheapest`` candidate, or ``refuse``
    """

    name: _Name
    usd: Annotated[float, msgspec.Meta(gt=0)]
    window: Window
    per: Annotated[str, msgspec.Meta(pattern=r"^(tenant|key|tag|tag:.{1,64})$")] | None = None
    only: str | None = None
    rises_from: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.5
    beyond: Literal["cheapest", "refuse"] = "cheapest"

    def scopes(self, tenant: str | None, key: str | None, tags: Any) -> Iterator[str]:
        """The accounts that a request is booked on; ``""`` = the one for all.

        Examples
        --------
        >>> budget = Budget(name="b", usd=1.0, window="day", per="tag:project")
        >>> [*budget.scopes(None, None, {"project": "x"})], [*budget.scopes("acme", None, None)]
        (['x'], [])
        """
        found: Sequence[str | None]
        if self.per is None:
            found = ("",)
        elif self.per == "tenant":
            found = (tenant,)
        elif self.per == "key":
            found = (key,)
        elif self.per == "tag":
            found = tuple(dict.fromkeys(tags)) if isinstance(tags, list) else ()
        else:
            found = (tags.get(self.per[4:]),) if isinstance(tags, Mapping) else ()
        for scope in found:
            if scope is not None and (self.only is None or scope == self.only):
                yield scope


class _File(msgspec.Struct, forbid_unknown_fields=True):
    budgets: tuple[Budget, ...]


def read_budgets(path: Path) -> tuple[Budget, ...]:
    """Budgets of a file.

    Raises
    ------
    ConfigError
        If it cannot be read, is not of the form above, or names one budget twice.
    """
    try:
        budgets = msgspec.json.decode(path.read_bytes(), type=_File).budgets
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"expected a budgets file at {path}, {{'budgets': [{{name, usd, window}}, …]}}: {error}"
        ) from error
    names = [budget.name for budget in budgets]
    if len(set(names)) < len(names):
        raise ConfigError(f"{path} names a budget twice; give every budget a name of its own")
    for budget in budgets:
        if budget.only is not None and budget.per is None:
            raise ConfigError(f"{path}: budget {budget.name} has `only` but no `per`; say per what")
    return budgets


def window_of(window: Window, now: datetime) -> tuple[datetime, datetime]:
    """Beginning and end of the window that a moment lies in, UTC.

    Examples
    --------
    >>> begin, end = window_of("month", datetime(2026, 12, 31, 23, 5, tzinfo=UTC))
    >>> begin.isoformat(), end.isoformat()
    ('2026-12-01T00:00:00+00:00', '2027-01-01T00:00:00+00:00')
    """
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if window == "hour":
        return hour, hour + timedelta(hours=1)
    day = hour.replace(hour=0)
    if window == "day":
        return day, day + timedelta(days=1)
    month = day.replace(day=1)
    return month, (month + timedelta(days=32)).replace(day=1)
