"""``ROUTER_SERVE_*`` variables to typed values, without those that others put there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from router_ml.errors import ConfigError

PREFIX: Final = "ROUTER_SERVE_"

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
_SERVICE_LINK: Final = re.compile(
    r"(?:.+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_.+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
_ADDRESS: Final = re.compile(r"(?:tcp|udp|sctp)://")


def given_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Setting name to text, out of an environment.

    Kubernetes describes every Service to every pod in variables named after it
    (``enableServiceLinks``). Those of a Service ``router-serve`` begin as ours do; they are
    nobody's settings and are left out.

    Examples
    --------
    >>> given_settings({"ROUTER_SERVE_PORT": "tcp://10.0.0.7:8080", "ROUTER_SERVE_HOST": "::1"})
    {'host': '::1'}
    """
    return {
        suffix.lower(): text
        for name, text in environ.items()
        if name.startswith(PREFIX) and not is_service_link(suffix := name[len(PREFIX) :], text)
    }


def is_service_link(suffix: str, text: str) -> bool:
    """Whether a variable, its prefix dropped, is one of Kubernetes' own."""
    if _SERVICE_LINK.fullmatch(suffix):
        return True
    return suffix.rpartition("_")[2] == "PORT" and _ADDRESS.match(text) is not None


def parse(name: str, text: str, hint: Any) -> Any:
    """The value of one setting.

    Parameters
    ----------
    name : of the field
    text : of the variable
    hint : type of the field

    Raises
    ------
    ConfigError
        If the text is not of that type.
    """
    label = PREFIX + name.upper()
    if hint is bool:
        if text.lower() not in _TRUE | _FALSE:
            raise ConfigError(f"{label} must be true or false, got {text!r}")
        return text.lower() in _TRUE
    if hint == tuple[str, ...]:
        parts = tuple(part.strip() for part in text.split(",") if part.strip())
        if not parts:
            # An empty list of keys from a secret that failed to mount must not open the service.
            raise ConfigError(
                f"{label} is set but names nothing; give it a value, or remove the variable"
            )
        return parts
    for kind in (int, float):
        if hint in (kind, kind | None):
            try:
                return kind(text)
            except ValueError as error:
                raise ConfigError(f"{label} must be a number, got {text!r}") from error
    if hint == Path | None:
        if not text and name == "keys_file":
            raise ConfigError(f"{label} is set but empty; name a file, or remove the variable")
        return Path(text) if text else None
    return text
