"""Values out of records: paths into nested JSON, and conversion to a column's type."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson

from router_ml.data.schemas import ColumnType

Path = tuple[str, ...]
MAX_BIGINT: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Reading:
    """How numbers and times are written, where that cannot be told from the value.

    Parameters
    ----------
    time_zone : IANA name, of times without zone; ``""`` = UTC, and the join checks that none is odd
    time_format : ``ms``, ``us`` or ``ns`` since 1970, or as ``strptime`` takes it; the first fits
    decimal_comma : whether text has numbers as 0,5
    words : word in lower case -> the label value it stands for
    statuses : word in lower case -> ``success`` or ``failure``
    """

    time_zone: str = ""
    time_format: tuple[str, ...] = ()
    decimal_comma: bool = False
    words: Mapping[str, float] = field(default_factory=dict)
    statuses: Mapping[str, str] = field(default_factory=dict)


PLAIN: Final = Reading()
_UNITS: Final = {"ms": 1e3, "us": 1e6, "ns": 1e9}


class UnreadableError(ValueError):
    """A value is not of its column's type; the text says what it is."""


def find(record: Mapping[str, Any], paths: Sequence[str]) -> Any:
    """Give the first value that is not None along dotted paths; JSON held as text is opened.

    Examples
    --------
    >>> find({"a": {"b": [1, 2]}, "c.d": 3}, ["x.y", "a.b.1"])
    2
    >>> find({"a": '{"b": 1}', "c.d": 3}, ["c.d"])
    3
    """
    for path in paths:
        value = record.get(path)
        if value is None and "." in path:
            value = _descend(record, path.split("."))
        if value is not None:
            return value
    return None


def find_filled(record: Mapping[str, Any], paths: Sequence[str]) -> Any:
    """Like :func:`find`, but an empty text, list or object is no value.

    Examples
    --------
    >>> find_filled({"tools": [], "functions": [{"name": "f"}]}, ["tools", "functions"])
    [{'name': 'f'}]
    """
    for path in paths:
        value = open_json(find(record, [path]))
        if value is not None and value not in ("", [], {}):
            return value
    return None


def find_count(record: Mapping[str, Any], paths: Sequence[str]) -> Any:
    """Like :func:`find`, but a zero gives way to a later value: loggers fill one of several names.

    Examples
    --------
    >>> find_count({"cached": 0, "cache_read": 9000}, ["cached", "cache_read"])
    9000
    """
    found = None
    for path in paths:
        value = find(record, [path])
        if value not in (None, 0, "", "0"):
            return value
        found = value if found is None else found
    return found


def _descend(value: Any, parts: Sequence[str]) -> Any:
    for part in parts:
        value = open_json(value)
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def open_json(value: Any) -> Any:
    """Parse text that looks like a JSON object or list; anything else stays as it is."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    return value


def to_json(value: Any) -> str | None:
    """JSON text of a value, None for None."""
    if value is None:
        return None
    try:
        return orjson.dumps(value, default=str).decode()
    except TypeError:  # an integer beyond 64 bits
        return json.dumps(value, default=str, ensure_ascii=False)


def convert(value: Any, kind: ColumnType, reading: Reading = PLAIN) -> Any:
    """Convert a value of JSON or CSV to a column type (times apart, see :func:`to_time`).

    Raises
    ------
    UnreadableError
        If the value is not of that type: ``12.5`` tokens, ``"a lot"`` dollars.
    """
    if value is None:
        return None
    if kind == "string":
        return value if isinstance(value, str) else _scalar_text(value)
    if reading.decimal_comma and kind in ("bigint", "double") and isinstance(value, str):
        value = value.replace(".", "").replace(",", ".") if "," in value else value
    if kind == "bigint":
        return _to_int(value)
    if kind == "double":
        return _to_float(value)
    if kind == "boolean":
        return _to_bool(value)
    items = open_json(value)
    if not isinstance(items, list):
        raise UnreadableError(f"expected a list, got {_brief(value)}")
    if kind == "string[]":
        return [convert(item, "string") for item in items]
    return [_to_float(item) for item in items]


def to_time(value: Any, reading: Reading = PLAIN) -> tuple[datetime | None, bool | None]:
    """Give a time as naive UTC, and whether it came without zone (epoch seconds have one).

    Examples
    --------
    >>> to_time("2024-08-12T10:00:00.123456789+02:00")
    (datetime.datetime(2024, 8, 12, 8, 0, 0, 123456), False)
    >>> to_time("2024-08-12 08:00:00")
    (datetime.datetime(2024, 8, 12, 8, 0), True)
    >>> to_time("12.08.2024 10:00", Reading("Europe/Berlin", ("%d.%m.%Y %H:%M",)))
    (datetime.datetime(2024, 8, 12, 8, 0), False)
    """
    if value is None:
        return None, None
    try:
        time = _parsed_time(value, reading)
        zoneless = time.tzinfo is None
        if zoneless and reading.time_zone:
            time, zoneless = time.replace(tzinfo=ZoneInfo(reading.time_zone)), False
        return (time if zoneless else time.astimezone(UTC).replace(tzinfo=None)), zoneless
    except (ValueError, TypeError, OverflowError, OSError) as error:
        wanted = " or ".join(reading.time_format) or "ISO 8601 or seconds since 1970"
        raise UnreadableError(f"expected {wanted}, got {_brief(value)}") from error


def _parsed_time(value: Any, reading: Reading) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, bool):
        raise UnreadableError(f"expected a time, got {_brief(value)}")
    if isinstance(value, str) and not _is_number(value):
        text = value.strip()
        for time_format in reading.time_format:
            with suppress(ValueError):  # another file may have times of another form
                return datetime.strptime(text, time_format)
        return datetime.fromisoformat(text.replace(" UTC", "+00:00"))
    unit = next((_UNITS[name] for name in reading.time_format if name in _UNITS), 1.0)
    return datetime.fromtimestamp(float(value) / unit, UTC)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _scalar_text(value: Any) -> str:
    if isinstance(value, Decimal | UUID):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # a name may be a number beyond 64 bits
    return orjson.dumps(value, default=str).decode()


def _to_float(value: Any) -> float:
    if isinstance(value, bool):
        raise UnreadableError(f"expected a number, got {_brief(value)}")
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise UnreadableError(f"expected a number, got {_brief(value)}") from error


def _to_int(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_BIGINT:
        return value
    if isinstance(value, bool):
        raise UnreadableError(f"expected a whole number, got {_brief(value)}")
    number = _to_float(value)
    if not math.isfinite(number) or number != int(number):
        raise UnreadableError(f"expected a whole number, got {_brief(value)}")
    return max(-MAX_BIGINT, min(MAX_BIGINT, int(number)))  # absurd either way; keep it storable


def _to_bool(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    known = {"true": True, "1": True, "false": False, "0": False, "none": None, "": None}
    if (text := str(value).strip().lower()) in known:
        return known[text]
    raise UnreadableError(f"expected true or false, got {_brief(value)}")


def _brief(value: Any) -> str:
    return f"{type(value).__name__} {str(value)[:40]!r}"
