"""A job's options: one frozen dataclass, read from YAML, the environment, Python or a command line.

jsonargparse checks the types. A config's docstring (``name, name : what it is``) is what help and
the reference say of each option.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml
from jsonargparse import ArgumentError, ArgumentParser
from jsonargparse.typing import register_type

from router_ml.errors import ConfigError

ConfigT = TypeVar("ConfigT")
_ENTRY: Final = re.compile(r"^(?P<names>\w+(?:, \w+)*) : (?P<text>.*(?:\n    .*)*)", re.MULTILINE)


def load_config(
    cls: type[ConfigT],
    path: Path | str | None = None,
    overrides: Mapping[str, object] | None = None,
) -> ConfigT:
    """Build a job's config from a YAML file, then overrides; absent keys keep their default.

    Overrides that are None are ignored. One value is taken where a list belongs.

    Raises
    ------
    ConfigError
        On a key that the job does not have, a value of the wrong type, or a missing key.

    Examples
    --------
    >>> @dataclasses.dataclass(frozen=True)
    ... class Job:
    ...     names: tuple[str, ...] = ()
    ...     tolerance: float = 0.05
    >>> load_config(Job, overrides={"names": "one"})
    Job(names=('one',), tolerance=0.05)
    """
    values: dict[str, object] = {} if path is None else dict(read_yaml(Path(path)))
    values.update({k: v for k, v in (overrides or {}).items() if v is not None})
    where = "" if path is None else f" (in {path})"
    parser = make_parser(cls)
    with explaining(cls, where):
        found = parser.instantiate(parser.parse_object(plain(listed(cls, values))))
    return build(cls, found)


def check_fields(config: Any) -> None:
    """Hold a config that was made in Python to the types of one that was read.

    Called from ``__post_init__``, so that a string where a list belongs is a list of one, and not
    of letters.

    Raises
    ------
    ConfigError
        On a value of the wrong type.
    """
    cls = type(config)
    values = {f.name: getattr(config, f.name) for f in dataclasses.fields(cls)}
    parser = make_parser(cls)
    with explaining(cls):
        made = parser.instantiate(parser.parse_object(plain(listed(cls, values))))
    for name, given in values.items():
        checked = getattr(made, name)
        if checked != given or type(checked) is not type(given):
            object.__setattr__(config, name, checked)


def make_parser(cls: type, *, prog: str = "", env_prefix: str | None = None) -> ArgumentParser:
    """A parser with one argument a field of ``cls``.

    Parameters
    ----------
    env_prefix : variables ``<env_prefix>_<FIELD>`` are read, optional
    """
    parser = ArgumentParser(
        prog=prog,
        description=(inspect.getdoc(cls) or "").partition("\n\n")[0],
        exit_on_error=False,
        default_env=env_prefix is not None,
        env_prefix=env_prefix or False,
    )
    hints, told = typing.get_type_hints(cls), field_docs(cls)
    for field in dataclasses.fields(cls):
        options: dict[str, Any] = {"type": hints[field.name], "help": told.get(field.name, "")}
        if (default := _default(field)) is not dataclasses.MISSING:
            options["default"] = default
        if "default" not in options:
            options["required"] = True
        parser.add_argument(f"--{field.name}", **options)
    return parser


def build(cls: type[ConfigT], found: Any) -> ConfigT:
    """A config of what a parser found."""
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    return cls(**{name: getattr(found, name) for name in names})


def field_docs(cls: type) -> dict[str, str]:
    """What a config's docstring says of each field.

    Examples
    --------
    >>> class Job:
    ...     '''A job.
    ...
    ...     Parameters
    ...     ----------
    ...     low, high : ends
    ...     name : of the job,
    ...         for people
    ...     '''
    >>> field_docs(Job)
    {'low': 'ends', 'high': 'ends', 'name': 'of the job, for people'}
    """
    _, _, section = (inspect.getdoc(cls) or "").partition("Parameters\n----------\n")
    return {
        name: " ".join(entry["text"].split())
        for entry in _ENTRY.finditer(section)
        for name in entry["names"].split(", ")
    }


def resolved(config: Any) -> dict[str, Any]:
    """Every key of a config with its value in force, as plain YAML types."""
    return {f.name: plain(getattr(config, f.name)) for f in dataclasses.fields(config)}


def dump_config(config: Any, path: Path | str) -> None:
    """Write :func:`resolved` as YAML, which :func:`load_config` reads back to an equal config."""
    text = yaml.safe_dump(resolved(config), sort_keys=False, allow_unicode=True)
    Path(path).write_text(text, encoding="utf-8")


def read_yaml(path: Path) -> Mapping[str, object]:
    """Keys and values of a YAML file.

    Raises
    ------
    ConfigError
        If the file cannot be read, or holds something else.
    """
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


def list_fields(cls: type) -> set[str]:
    """Fields that take a list."""
    hints = typing.get_type_hints(cls)
    return {
        name
        for name, hint in hints.items()
        if typing.get_origin(hint) is tuple and typing.get_args(hint)[-1] is Ellipsis
    }


def listed(cls: type, values: Mapping[str, object]) -> dict[str, Any]:
    """One value, where a list belongs, is a list of one; 1e6 is an integer where one belongs."""
    hints = typing.get_type_hints(cls)
    return {key: listed_as(value, hints.get(key)) for key, value in values.items()}


def listed_as(value: object, hint: Any) -> object:
    """One value as :func:`listed` has it, ``hint`` being the type that is declared."""
    if hint is int and isinstance(value, str):
        try:
            return int(value) if value.lstrip("+-").isdigit() else _whole(float(value), value)
        except ValueError:
            return value
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple and args[-1] is Ellipsis:
        items = value if isinstance(value, list | tuple) else [value]
        return [listed_as(item, args[0]) for item in items]
    if isinstance(value, Mapping) and (nested := _nested(hint)) is not None:
        return resolved(load_config(nested, overrides=value))
    if origin is not None and len(args) == 2 and isinstance(value, Mapping):
        return {key: listed_as(item, args[1]) for key, item in value.items()}
    return value


def _nested(hint: Any) -> type | None:
    """The config that a hint is, or that is one of its alternatives."""
    options = typing.get_args(hint) if typing.get_origin(hint) is types.UnionType else (hint,)
    found = (option for option in options if isinstance(option, type))
    return next((option for option in found if dataclasses.is_dataclass(option)), None)


def _whole(number: float, text: str) -> object:
    return int(number) if number.is_integer() else text


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


@contextmanager
def explaining(cls: type, where: str = "") -> Iterator[None]:
    """A parser's complaint as a ConfigError in terms of the config's keys."""
    try:
        yield
    except (ArgumentError, ValueError, TypeError) as error:
        if isinstance(error, ConfigError):
            raise
        if isinstance(error.__cause__, ConfigError):  # of a config inside this one
            raise ConfigError(f"{error.__cause__}{where}") from error
        raise ConfigError(explained(cls, str(error)) + where) from error


def explained(cls: type, text: str) -> str:
    """A parser's complaint in terms of the config's keys."""
    text = " ".join(text.split())
    if match := re.search(r"required: (.*)", text):
        return f"{cls.__name__} needs {match[1].replace('--', '')}"
    if match := re.search(r"Group '(\w+)' does not accept option '([\w.]+)'", text):
        return f"{cls.__name__}.{match[1]} has no key {match[2]}"
    if match := re.search(r"Option '([\w.]+)' is not accepted", text):
        return unknown_key(cls, match[1])
    if match := re.search(r"[Uu]nrecognized arguments: (\S+)", text):
        return unknown_key(cls, match[1].removeprefix("--").partition("=")[0])
    if not (match := re.search(r'Parser key "([^"]+)": (.*)', text)):
        return f"{cls.__name__}: {text}"
    key, said = f"{cls.__name__}.{match[1]}", match[2]
    got = re.search(r"(?:Given value|Got value): (.*)$", said)
    wanted = re.search(r"Expected an? (.*?)(?:\. Got value|: |$)", said)
    if got and "Union" in said:
        hints = typing.get_args(typing.get_type_hints(cls).get(match[1])) or (object,)
        return f"{key} must be {getattr(hints[0], '__name__', hints[0])}, got {got[1]}"
    if got and wanted:
        kind = re.sub(r"<class '(?:[\w.]*\.)?(\w+)'>", r"\1", wanted[1])
        if options := re.search(r"Literal\[(.*?)\]", kind):
            kind = "one of " + options[1].replace("'", "")
        return f"{key} must be {_KINDS.get(kind, kind)}, got {got[1]}"
    return f"{key}: {said}"


_KINDS: Final = {"Mapping": "keys and values"}


def unknown_key(cls: type, names: str) -> str:
    """What to say of a key that the job does not have."""
    valid = ", ".join(field.name for field in dataclasses.fields(cls))
    return f"{cls.__name__} has no key {names}; valid keys: {valid}"


def _utc(value: str) -> datetime:
    """Naive UTC, as all times here are; a time without zone is taken as UTC."""
    time = datetime.fromisoformat(value)
    return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time


def plain(value: Any) -> Any:
    """A value as YAML types."""
    if dataclasses.is_dataclass(value):
        return resolved(value)
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return str(value) if isinstance(value, Path | datetime) else value


register_type(datetime, lambda time: time.isoformat(), _utc)
