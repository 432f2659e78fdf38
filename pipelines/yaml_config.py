"""Read a frozen dataclass from YAML, unknown keys refused; and write it back, resolved."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from router_ml.errors import ConfigError

ConfigT = TypeVar("ConfigT")


def load_config(
    cls: type[ConfigT],
    path: Path | str | None = None,
    overrides: Mapping[str, object] | None = None,
) -> ConfigT:
    """Build a stage's config from a YAML file, then overrides; absent keys keep their default.

    Overrides that are None are ignored, so that command-line options can be passed as they are.

    Raises
    ------
    ConfigError
        On a key that the stage does not have, a value of the wrong type, or a missing key.

    Examples
    --------
    >>> @dataclasses.dataclass(frozen=True)
    ... class Job:
    ...     names: tuple[str, ...] = ()
    ...     tolerance: float = 0.05
    >>> load_config(Job, overrides={"names": "one"})
    Job(names=('one',), tolerance=0.05)
    """
    values: dict[str, object] = {}
    if path is not None:
        values.update(_read_yaml(Path(path)))
    values.update({k: v for k, v in (overrides or {}).items() if v is not None})
    return _build(cls, values, "" if path is None else f" (in {path})")


def resolved(config: Any) -> dict[str, Any]:
    """Every key of a config with its value in force, as plain YAML types."""
    return {f.name: _plain(getattr(config, f.name)) for f in dataclasses.fields(config)}


def check_fields(config: Any) -> None:
    """Hold a config made in Python to the same types as one read from YAML, and wrap lone values.

    Called from ``__post_init__`` of every config, so that a string where a list belongs is a list
    of one, not of letters.

    Raises
    ------
    ConfigError
        On a value of the wrong type.
    """
    cls = type(config)
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(config):
        value = _coerce(getattr(config, field.name), hints[field.name], f"{cls.__name__}.{field.name}")
        object.__setattr__(config, field.name, value)


def dump_config(config: Any, path: Path | str) -> None:
    """Write :func:`resolved` as YAML, which :func:`load_config` reads back to an equal config."""
    text = yaml.safe_dump(resolved(config), sort_keys=False, allow_unicode=True)
    Path(path).write_text(text, encoding="utf-8")


def _read_yaml(path: Path) -> Mapping[str, object]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read config {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"config {path} is not YAML: {error}") from error
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise ConfigError(f"config {path} must be keys and values, got {type(values).__name__}")
    return values


def _build(cls: type[ConfigT], values: Mapping[str, object], where: str) -> ConfigT:
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    if unknown := sorted(str(key) for key in set(values) - set(fields)):
        raise ConfigError(
            f"{cls.__name__} has no key {', '.join(unknown)}{where}; valid keys: "
            f"{', '.join(fields)}"
        )
    built = {k: _coerce(v, hints[k], f"{cls.__name__}.{k}{where}") for k, v in values.items()}
    missing = dataclasses.MISSING
    absent = [
        name
        for name, f in fields.items()
        if name not in built and f.default is missing and f.default_factory is missing
    ]
    if absent:
        raise ConfigError(f"{cls.__name__} needs {', '.join(absent)}{where}")
    return cls(**built)


def _coerce(value: Any, hint: Any, where: str) -> Any:
    """Turn a YAML value into a field's declared type, or say what was expected."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in args:
            return None
        return _coerce(value, _choice(value, args), where)
    if origin is Literal:
        if value not in args:
            raise ConfigError(f"{where} must be one of {', '.join(map(str, args))}, got {value!r}")
        return value
    if origin is tuple:
        return _coerce_tuple(value, args, where)
    if origin is not None or (dataclasses.is_dataclass(hint) and isinstance(value, Mapping)):
        return _coerce_mapping(value, hint, args, where)
    return _coerce_scalar(value, hint, where)


def _choice(value: Any, args: tuple[Any, ...]) -> Any:
    """The alternative that a value is of: a nested config for keys and values, else the first."""
    options = [a for a in args if a is not type(None)]
    nested = [a for a in options if dataclasses.is_dataclass(a)]
    if nested and (isinstance(value, Mapping) or type(value) in nested):
        return nested[0]
    return next((a for a in options if a not in nested), options[0])


def _coerce_mapping(value: Any, hint: Any, args: tuple[Any, ...], where: str) -> Any:
    """Coerce keys and values: a nested config, or a mapping whose values have one type."""
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where} must be keys and values, got {value!r}")
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, f" in {where}")  # type: ignore[arg-type]
    return {str(k): _coerce(v, args[1], f"{where}.{k}") for k, v in value.items()}


def _coerce_tuple(value: Any, args: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    items = list(value) if isinstance(value, list | tuple) else [value]
    if args[-1] is Ellipsis:
        return tuple(_coerce(item, args[0], where) for item in items)
    if len(items) != len(args):
        raise ConfigError(f"{where} must have {len(args)} values, got {value!r}")
    return tuple(_coerce(item, arg, where) for item, arg in zip(items, args, strict=True))


def _coerce_scalar(value: Any, hint: Any, where: str) -> Any:
    if hint in (Any, object) or (dataclasses.is_dataclass(hint) and type(value) is hint):
        return value
    try:
        if hint is datetime:
            return _utc(value if isinstance(value, datetime) else datetime.fromisoformat(value))
        if hint in (str, Path) and isinstance(value, str | Path):
            return hint(value)
        if hint is bool and isinstance(value, bool):
            return value
        if hint in (int, float) and not isinstance(value, bool):
            number = float(value)  # YAML reads 1e6 as a string
            if hint is float or number == int(number):
                return hint(number) if hint is float or isinstance(value, float | str) else value
    except (TypeError, ValueError, OverflowError):
        pass
    raise ConfigError(f"{where} must be {hint.__name__}, got {value!r}")


def _utc(time: datetime) -> datetime:
    """Naive UTC, as all times here are; a time without zone is taken as UTC."""
    return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return resolved(value)
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value
