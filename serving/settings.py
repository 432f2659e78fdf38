"""What the service may be told, all of it from ``ROUTER_SERVE_*`` variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, get_type_hints

from router_ml.errors import ConfigError

PREFIX: Final = "ROUTER_SERVE_"
REGISTRY_SCHEME: Final = "models:/"

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Resolved settings; a field ``x`` is the variable ``ROUTER_SERVE_X``.

    Parameters
    ----------
    bundle : a bundle folder, or a registry address such as ``models:/router@champion``
    host, port : where to listen; port 0 takes a free one
    workers : processes; each holds its own router
    api_keys : bearer keys, comma-separated in the variable; none = open to all who reach the port
    policy_file, prices_file : replace the bundle's ``policy.json`` and ``prices.json``
    poll_interval_s : seconds between looks at the alias or folder, > 0
    cache_dir : keeps bundles fetched from a registry; ``None`` = gone with the process
    decision_log : folder of the decision log; ``None`` = no log
    log_text : also log the query, messages and tools, which are personal data
    log_fsync : ``never`` leaves it to the system, ``interval`` syncs at most once a second,
        ``always`` after every write; a request never waits for it
    log_flush_s : seconds that a row may stay in memory, > 0
    log_rotate_bytes : a file is closed once it is this long
    log_queue_rows : rows that may wait; further decisions are dropped and counted
    max_body_bytes, max_batch_body_bytes : longer bodies get 413
    max_batch : requests in one batch
    arm : stands in every decision row, so that deployments side by side can be told apart
    random_state : seeds draws of randomising policies; ``None`` = fresh entropy

    Examples
    --------
    >>> Settings.from_environ({"ROUTER_SERVE_BUNDLE": "out", "ROUTER_SERVE_PORT": "90"}).port
    90
    """

    bundle: str
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    policy_file: Path | None = None
    prices_file: Path | None = None
    poll_interval_s: float = 10.0
    cache_dir: Path | None = None
    decision_log: Path | None = None
    log_text: bool = False
    log_fsync: Literal["never", "interval", "always"] = "interval"
    log_flush_s: float = 0.2
    log_rotate_bytes: int = 128_000_000
    log_queue_rows: int = 50_000
    max_body_bytes: int = 1_000_000
    max_batch_body_bytes: int = 8_000_000
    max_batch: int = 256
    arm: str = "default"
    random_state: int | None = None

    def __post_init__(self) -> None:
        if not self.bundle:
            raise ConfigError(f"{PREFIX}BUNDLE must name a bundle folder or models:/name@alias")
        for name, low in (
            ("port", 0),
            ("workers", 1),
            ("log_rotate_bytes", 1),
            ("log_queue_rows", 1),
            ("max_body_bytes", 1),
            ("max_batch_body_bytes", 1),
            ("max_batch", 1),
        ):
            if getattr(self, name) < low:
                raise ConfigError(f"{name} must be at least {low}, got {getattr(self, name)}")
        if self.port > 65535:
            raise ConfigError(f"port must be at most 65535, got {self.port}")
        for name in ("poll_interval_s", "log_flush_s"):
            if not 0 < getattr(self, name) < 1e6:
                raise ConfigError(f"{name} must be seconds above 0, got {getattr(self, name)}")
        if self.log_fsync not in ("never", "interval", "always"):
            raise ConfigError(f"log_fsync must be never, interval or always, got {self.log_fsync}")

    @property
    def from_registry(self) -> bool:
        """Whether ``bundle`` is a registry address."""
        return self.bundle.startswith(REGISTRY_SCHEME)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the environment, ``os.environ`` by default.

        Raises
        ------
        ConfigError
            If a ``ROUTER_SERVE_*`` variable is unknown, missing or not of its type.
        """
        environ = os.environ if environ is None else environ
        given = {
            name.removeprefix(PREFIX).lower(): text
            for name, text in environ.items()
            if name.startswith(PREFIX)
        }
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(given) - known):
            raise ConfigError(
                f"unknown variables {', '.join(PREFIX + name.upper() for name in unknown)}; known "
                f"are {', '.join(PREFIX + name.upper() for name in sorted(known))}"
            )
        for f in fields(cls):
            if f.default is MISSING and f.default_factory is MISSING and f.name not in given:
                name = f"{PREFIX}{f.name.upper()}"
                raise ConfigError(f"{name} must be set; see docs/reference/serving.md")
        hints = get_type_hints(cls)
        return cls(**{name: _parse(name, text, hints[name]) for name, text in given.items()})

    def to_environ(self) -> dict[str, str]:
        """The variables that give these settings; worker processes read them."""
        texts: dict[str, str] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if value is not None and value != ():
                text = ",".join(value) if isinstance(value, tuple) else str(value)
                texts[PREFIX + f.name.upper()] = text
        return texts


def _parse(name: str, text: str, hint: Any) -> Any:
    label = PREFIX + name.upper()
    if hint is bool:
        if text.lower() not in _TRUE | _FALSE:
            raise ConfigError(f"{label} must be true or false, got {text!r}")
        return text.lower() in _TRUE
    if hint == tuple[str, ...]:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    for kind in (int, float):
        if hint in (kind, kind | None):
            try:
                return kind(text)
            except ValueError as error:
                raise ConfigError(f"{label} must be a number, got {text!r}") from error
    if hint == Path | None:
        return Path(text) if text else None
    return text
