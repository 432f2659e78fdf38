"""What the values of a column are: numbers, times, labels, names, text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pipelines.join.sources.values import Reading, UnreadableError, to_time

_NUMBER: Final = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
_COMMA_NUMBER: Final = re.compile(r"[-+]?\d{1,3}(\.\d{3})*,\d+|[-+]?\d+,\d+")
_EPOCH: Final = {"": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_SECONDS: Final = (946_684_800.0, 4_102_444_800.0)  # 2000 to 2100
FORMATS: Final = (
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y %I:%M:%S %p",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%d-%m-%Y %H:%M:%S",
    "%d %b %Y %H:%M:%S",
    "%a %b %d %H:%M:%S %Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d.%m.%Y",
)
_ENOUGH: Final = 0.95


@dataclass(frozen=True, slots=True)
class Times:
    """How a column writes times.

    Parameters
    ----------
    time_format : as the join's ``time_format``; ``""`` = ISO 8601 or seconds since 1970
    zoneless : share of times without zone
    first, last : naive UTC, as far as zones are told
    ambiguous : whether day and month could be the other way round
    """

    time_format: str
    zoneless: float
    first: datetime
    last: datetime
    ambiguous: bool = False


def numbers(values: Sequence[Any], *, decimal_comma: bool = False) -> list[float] | None:
    """All values as numbers; None if more than a few are none."""
    found = []
    for value in values:
        if isinstance(value, bool):
            return None
        if isinstance(value, int | float):
            found.append(float(value))
        elif isinstance(value, str):
            text = value.strip()
            if decimal_comma and _COMMA_NUMBER.fullmatch(text):
                text = text.replace(".", "").replace(",", ".")
            text = text.removeprefix("$").removesuffix("%").strip()
            if _NUMBER.fullmatch(text):
                found.append(float(text))
    return found if values and len(found) >= _ENOUGH * len(values) else None


def has_decimal_comma(values: Sequence[Any]) -> bool:
    """Whether numbers are written 0,5."""
    texts = [value.strip() for value in values if isinstance(value, str)]
    with_comma = sum(1 for text in texts if _COMMA_NUMBER.fullmatch(text))
    plain = sum(1 for text in texts if re.fullmatch(r"[-+]?\d+", text))
    return with_comma > 0 and with_comma + plain >= _ENOUGH * len(values)


def times(values: Sequence[Any]) -> Times | None:
    """How a column writes times, if times are what it holds."""
    some = _spread(values, 500)
    if not some:
        return None
    figures = numbers(some)
    if figures is not None:
        for name, unit in _EPOCH.items():
            if all(_SECONDS[0] * unit <= figure <= _SECONDS[1] * unit for figure in figures):
                return _times(some, name)
        return None
    if (found := _times(some, "")) is not None:
        return found
    fits = [name for name in FORMATS if _fits(some, name)]
    if not fits:
        return None
    read = _times(some, fits[0])
    if read is None:
        return None
    other = any(name.replace("%d", "%m", 1) != name and len(fits) > 1 for name in fits)
    return Times(read.time_format, read.zoneless, read.first, read.last, other)


def _spread(values: Sequence[Any], n: int) -> list[Any]:
    """About ``n`` values from the first to the last: dates of one day tell no day from a month."""
    return [*values[:: -(-len(values) // n) or 1], *values[-1:]]


def _fits(values: Sequence[Any], time_format: str) -> bool:
    try:
        for value in values:
            datetime.strptime(str(value).strip(), time_format)
    except ValueError:
        return False
    return True


def _times(values: Sequence[Any], time_format: str) -> Times | None:
    reading = Reading(time_format=(time_format,) if time_format else ())
    found = []
    for value in values:
        try:
            found.append(to_time(value, reading))
        except UnreadableError:
            continue
    known = [(time, zoneless) for time, zoneless in found if time is not None]
    if len(known) < _ENOUGH * len(values) or not known:
        return None
    moments = [time for time, _ in known]
    if min(moments).year < 2000 or max(moments).year > 2100:
        return None
    zoneless = sum(1 for _, one in known if one) / len(known)
    return Times(time_format, zoneless, min(moments), max(moments))
