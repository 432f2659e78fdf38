"""Options of a frozen dataclass as a table: name, type, default, unit, meaning."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pipelines.options import field_docs, plain
from tools.docs.markdown import table

_SUFFIXES: Final[Mapping[str, str]] = {
    "_usd": "US dollars a request",
    "_ms": "milliseconds",
    "_s": "seconds",
    "_mb": "megabytes",
    "_bytes": "bytes",
    "_days": "days",
    "_hours": "hours",
    "_labels": "labels",
    "_requests": "requests",
    "_alpha": "probability",
    "_share": "share, 0 to 1",
    "_seconds": "seconds",
    "_shares": "shares",
    "_weight": "quality per US dollar",
    "_quality": "quality, 0 to 1",
    "_tokens": "tokens",
    "_queries": "queries",
    "_rows": "rows",
    "_at": "round",
}
_UNITS: Final[Mapping[str, str]] = {
    "alpha": "probability",
    "breaker_failures": "failures",
    "delta": "probability",
    "dearer": "factor",
    "dims": "dimensions",
    "examples": "requests",
    "floor": "share, 0 to 1",
    "folds": "folds",
    "gain": "utility",
    "history": "requests",
    "kept": "share, 0 to 1",
    "margin": "quality, 0 to 1",
    "max_batch": "requests",
    "max_connections": "connections",
    "keep_cycles": "cycles",
    "max_depth": "answers",
    "max_shadow_errors": "share, 0 to 1",
    "max_messages": "messages",
    "max_tools": "tools",
    "max_unsupported": "share, 0 to 1",
    "max_waiting": "requests",
    "n_resamples": "samples",
    "n_trials": "trials",
    "outer_folds": "folds",
    "experiment_units": "sessions",
    "label_settled": "share, 0 to 1",
    "planned_units": "sessions",
    "port": "TCP port",
    "precision": "share, 0 to 1",
    "random_state": "seed",
    "requests": "requests",
    "rounds": "rounds",
    "target_power": "probability",
    "temperature": "utility",
    "threads": "threads",
    "tolerance": "share, 0 to 1",
    "trial": "probability",
    "attempts": "requests",
    "budget": "labels",
    "concurrency": "requests",
    "high": "score",
    "low": "score",
    "card": "quality, 0 to 1",
    "every": "seconds",
    "mask_below": "share, 0 to 1",
    "explore_share": "probability",
    "gate_margin": "quality, 0 to 1",
    "price": "US dollars per million tokens",
    "ttft_quantile": "probability",
    "trial_labels": "labels",
    "version": "version number",
    "workers": "processes",
}
"""Units that a field's name does not end with."""


def option_table(cls: type, *, spell: Callable[[str], str] = str) -> str:
    """A row an option.

    Parameters
    ----------
    spell : how readers write an option's name

    Raises
    ------
    LookupError
        If a field has no meaning in its class's docstring, or a number no unit.
    """
    meanings = field_docs(cls)
    hints = typing.get_type_hints(cls)
    rows = []
    for field in dataclasses.fields(cls):
        if field.name not in meanings:
            raise LookupError(f"the docstring of {cls.__name__} says nothing of {field.name}")
        hint = hints[field.name]
        rows.append(
            (
                f"`{spell(field.name)}`",
                type_name(hint),
                _default(field),
                unit(cls, field.name, hint),
                meanings[field.name],
            )
        )
    return table(("key", "type", "default", "unit", "meaning"), rows)


def unit(cls: type, name: str, hint: Any) -> str:
    """Unit of a numeric option; ``""`` where it is no number."""
    if not _numeric(hint):
        return ""
    if name in _UNITS:
        return _UNITS[name]
    for suffix, found in _SUFFIXES.items():
        if name.endswith(suffix):
            return found
    raise LookupError(f"{cls.__name__}.{name} has no unit; add it to tools/docs/options.py")


def type_name(hint: Any) -> str:
    """A type as readers of a configuration file know it.

    Examples
    --------
    >>> type_name(tuple[float, ...] | None), type_name(Path)
    ('list of float', 'path')
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_name(arg) for arg in inner if arg is not type(None))
    if origin is typing.Literal:
        return ", ".join(f"`{choice}`" for choice in inner)
    if origin is tuple:
        kinds = list(dict.fromkeys(type_name(arg) for arg in inner if arg is not Ellipsis))
        return f"list of {', '.join(kinds)}"
    if origin is not None:
        return f"mapping to {type_name(inner[1])}" if inner[1] is not Any else "mapping"
    if dataclasses.is_dataclass(hint):
        return f"keys of `{hint.__name__}`"  # type: ignore[union-attr]  # a class
    return {Path: "path", str: "text", bool: "true or false", datetime: "time, UTC"}.get(
        hint, getattr(hint, "__name__", str(hint))
    )


def _numeric(hint: Any) -> bool:
    """Whether it is a number, or a list of them."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType, tuple):
        return any(_numeric(arg) for arg in typing.get_args(hint))
    return hint in (int, float)


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    elif field.default is not dataclasses.MISSING:
        value = field.default
    else:
        return "required"
    if value is None or value == "" or value == () or value == {}:
        return ""
    text = f"{value:,}" if type(value) is int and value >= 100_000 else json.dumps(plain(value))
    return f"`{text.strip(chr(34))}`"
