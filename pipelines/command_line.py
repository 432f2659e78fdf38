"""A command's arguments to its config."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import yaml

from pipelines.options import (
    build,
    explaining,
    list_fields,
    listed,
    listed_as,
    make_parser,
    plain,
    read_yaml,
    unknown_key,
)
from router_ml.errors import ConfigError

ConfigT = TypeVar("ConfigT")


def command_line(
    cls: type[ConfigT],
    arguments: Sequence[str],
    *,
    prog: str,
    positional: Sequence[str] = (),
    defaults: Mapping[str, object] | None = None,
) -> ConfigT:
    """Config of a command from its arguments.

    ``--key value``, ``--key=value``, ``--set key=value`` and, for keys inside a key,
    ``--key.inner value``; ``--config FILE`` (YAML), which all of them win over; variables
    ``ROUTER_ML_<COMMAND>_<KEY>``, which all but defaults win over. ``-`` and ``_`` are the same in
    keys. An option that takes a list may be given several times.

    Parameters
    ----------
    defaults : for fields that nobody set

    Raises
    ------
    ConfigError
        See :func:`load_config`.
    """
    prefix = "ROUTER_ML_" + prog.split()[-1].upper().replace("-", "_")
    parser = make_parser(cls, prog=prog, env_prefix=prefix)
    parser.add_argument("--config", type=str, default=None, help="YAML file with these options")
    parser.add_argument("--runs", type=str, default="runs", help="folder of the stages' folders")
    given = _Given.read(cls, arguments, positional)
    values = _checked(cls, {} if not given.file else dict(read_yaml(Path(given.file))))
    free = {k: v for k, v in (defaults or {}).items() if k not in {*values, *given.named}}
    with explaining(cls):
        parser.set_defaults({**plain(free), **plain(listed(cls, values))})
        for action in parser._actions:
            action.required = action.required and action.dest not in {*free, *values}
        found = parser.instantiate(parser.parse_args(given.words))
    return build(cls, found)


def _checked(cls: type, values: Mapping[str, object]) -> Mapping[str, object]:
    """Refuse keys that the job does not have."""
    names = {field.name for field in dataclasses.fields(cls)}
    if unknown := sorted(set(values) - names):
        raise ConfigError(unknown_key(cls, ", ".join(unknown)))
    return values


@dataclass(slots=True)
class _Given:
    """Arguments in jsonargparse's own spelling.

    Parameters
    ----------
    file : of ``--config``; ``""`` = none
    words : what jsonargparse parses
    many : values by field, of lists and of what is given by position
    """

    file: str = ""
    words: list[str] = field(default_factory=list)
    many: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, config: type, arguments: Sequence[str], positional: Sequence[str]) -> Self:
        """Sort arguments into options and positions."""
        self, plain_words, rest, key = cls(), list[str](), list(arguments), ""
        lists, hint = list_fields(config), ""
        while rest:
            word = rest.pop(0)
            if word in ("-h", "--help"):
                return cls(words=["--help"])
            if word.startswith("-") and word != "-":
                key = self._take(config, word, rest)
            else:
                plain_words.append(word)
                if key in lists and not hint:
                    hint = f"; for several values repeat it: --{key} {word}"
        for name in positional:
            taken = len(plain_words) if name in lists else 1
            self.many.setdefault(name, []).extend(plain_words[:taken])
            plain_words = plain_words[taken:]
        if plain_words:
            raise ConfigError(f"expected options, got {' '.join(plain_words)}{hint}")
        self._spell(config)
        return self

    @property
    def named(self) -> set[str]:
        """Fields that were given."""
        options = {word.removeprefix("--").partition("=")[0] for word in self.words}
        return {option.partition(".")[0] for option in options} | set(self.many)

    def _take(self, config: type, word: str, rest: list[str]) -> str:
        """Note an option; its key."""
        key, value = _option(config, word, rest)
        if key == "config":
            self.file = value
        elif not value and word in ("-s", "--set"):  # --set key= leaves the default
            return key
        elif key in list_fields(config):
            self.many.setdefault(key, []).append(value)
        else:
            self.words.append(f"--{key}={_wrapped(config, key, value)}")
        return key

    def _spell(self, config: type) -> None:
        hints, lists = typing.get_type_hints(config), list_fields(config)
        self.many = {name: values for name, values in self.many.items() if values}
        for name, values in self.many.items():
            told = plain(listed_as(_joined(values), hints[name])) if name in lists else None
            self.words.append(f"--{name}={values[0] if told is None else json.dumps(told)}")


def _option(cls: type, word: str, rest: list[str]) -> tuple[str, str]:
    """Key and value of an option, whose value may be the next word."""
    if word in ("--set", "-s"):
        word = "--" + (rest.pop(0) if rest else "")
        if "=" not in word:
            raise ConfigError(f"--set needs key=value, got {word.removeprefix('--')!r}")
    name, sign, value = ("--config" if word == "-c" else word).partition("=")
    key = name.lstrip("-").replace("-", "_")
    names = {field.name for field in dataclasses.fields(cls)} | {"config", "runs"}
    flags = [k for k, hint in typing.get_type_hints(cls).items() if hint is bool]
    if key.removeprefix("no_") in flags and key not in names:
        return key.removeprefix("no_"), "false"
    if key.partition(".")[0] not in names:
        raise ConfigError(unknown_key(cls, key))
    if not sign and key in flags and (not rest or rest[0] not in ("true", "false")):
        return key, "true"
    if not sign and not rest:
        raise ConfigError(f"--{key} needs a value")
    return key, value if sign else rest.pop(0)


def _wrapped(cls: type, key: str, value: str) -> str:
    """The same value with lists of one where a mapping takes lists, as a YAML file may have it."""
    head, _, inner = key.partition(".")
    hint = typing.get_type_hints(cls).get(head)
    if typing.get_origin(hint) is not Mapping:
        return value
    told = _read(value)
    made = listed_as(told, typing.get_args(hint)[1] if inner else hint)
    return value if made == told else json.dumps(made, default=str)


def _joined(values: Iterable[str]) -> list[Any]:
    """One list of several arguments, each a value, keys and values, or itself a list (YAML)."""
    joined: list[Any] = []
    for value in values:
        read = _read(value)
        items = read if isinstance(read, list) else [read]
        joined += [item if isinstance(item, Mapping) else str(item) for item in items]
    return joined


def _read(value: str) -> Any:
    """A list or keys and values in YAML; any other text is itself."""
    if not value.startswith(("[", "{")):
        return value
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        return value
