"""Labels of a question to candidates: exact names, and an alias table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from router_ml.errors import ConfigError


def read_aliases(path: Path | None) -> dict[str, str]:
    """Label to candidate, from a JSON file; nothing without one.

    Raises
    ------
    ConfigError
        If it cannot be read, or is no object of text to text.
    """
    if path is None:
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(
            f'{path} must be JSON such as {{"SIMPLE": "gpt-4o-mini"}}: {error}'
        ) from error


class UnknownLabelError(Exception):
    """A label that names no candidate."""


def candidates_of(
    labels: Sequence[str | bool], aliases: Mapping[str, str], known: Collection[str]
) -> dict[str | bool, str]:
    """Label to candidate; exact names come before aliases.

    Raises
    ------
    UnknownLabelError
        If a label names nobody: nothing is guessed.

    Examples
    --------
    >>> candidates_of(["SIMPLE", "gpt-4o"], {"SIMPLE": "gpt-4o-mini"}, {"gpt-4o-mini", "gpt-4o"})
    {'SIMPLE': 'gpt-4o-mini', 'gpt-4o': 'gpt-4o'}
    """
    named: dict[str | bool, str] = {}
    for label in labels:
        if isinstance(label, str) and label in known:
            named[label] = label
        elif isinstance(label, str) and aliases.get(label) in known:
            named[label] = aliases[label]
        else:
            raise UnknownLabelError(
                f"the label {label!r} names no candidate: it is none of the router's, and the "
                "alias table (ROUTER_SERVE_ALIASES_FILE) maps it to none"
            )
    return named
