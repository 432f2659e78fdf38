"""What the service may be told, all of it from ``ROUTER_SERVE_*`` variables."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Final, Literal, get_type_hints

from router_ml.errors import ConfigError
from serving.environment import PREFIX, given_settings, parse

REGISTRY_SCHEME: Final = "models:/"

_AT_LEAST: Final = {
    "port": 0,
    "workers": 1,
    "log_rotate_bytes": 1,
    "log_queue_rows": 1,
    "log_queue_bytes": 1,
    "max_body_bytes": 1,
    "max_batch_body_bytes": 1,
    "max_buffered_bytes": 1,
    "max_batch": 1,
    "max_tools": 1,
    "max_messages": 1,
    "max_header_bytes": 1024,
    "max_connections": 1,
    "max_waiting": 1,
    "load_memory_mb": 64,
    "breaker_failures": 0,
    "session_bytes": 0,
}
_SECONDS: Final = (
    "poll_interval_s",
    "log_flush_s",
    "receive_timeout_s",
    "send_timeout_s",
    "idle_timeout_s",
    "shutdown_s",
    "load_timeout_s",
    "breaker_pause_s",
    "session_ttl_s",
)
_REDIS_SCHEMES: Final = ("redis://", "rediss://", "unix://")
_MILLISECONDS: Final = ("deadline_ms", "slow_deadline_ms", "batch_deadline_ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Resolved settings; a field ``x`` is the variable ``ROUTER_SERVE_X``.

    Parameters
    ----------
    bundle : a bundle folder, or a registry address such as ``models:/router@champion``
    host, port : where to listen; port 0 takes a free one
    workers : processes; each holds its own router
    api_keys : bearer keys, comma-separated in the variable, with the scopes route and feedback
    keys_file : named and hashed keys with scopes; see :mod:`serving.keys`
    allow_anonymous : without keys, listen on other addresses than loopback all the same
    allowed_hosts : names that a request's ``Host`` may have where no key is set, beside ``host``,
        ``localhost`` and addresses; ``*`` = any
    routers : further routers, ``name=source`` each, chosen by a request's field ``router``
    challenger : bundle folder or registry address of a router that is tried beside ``bundle``;
        ``""`` = none
    challenger_share : of sessions that the challenger serves; 0 = it decides in the shadow alone
    experiment : names the trial of the challenger; another name assigns sessions anew
    policy_file, prices_file : replace the bundle's ``policy.json`` and ``prices.json``
    otlp_endpoint : decisions are sent there as OpenTelemetry spans, such as
        ``http://127.0.0.1:6006/v1/traces``; ``""`` = nowhere. See :mod:`serving.spans`.
    webhook_secret : of an MLflow webhook on ``model_version_alias.created``, which is taken at
        ``/v1/webhooks/mlflow``; ``""`` = not taken
    rules_file : semantic routes and guards, JSON; see :mod:`serving.screening`
    measures_file : masked and explored candidates, JSON, read again when it changes; see
        :mod:`serving.control.measures_file`
    aliases_file : labels of ``/v1/decisions`` and ``/v1/systemone`` to candidates, JSON
    poll_interval_s : seconds between looks at the alias, folder or keys file, > 0
    cache_dir : keeps bundles fetched from a registry; ``None`` = gone with the process
    load_timeout_s, load_memory_mb : a new bundle must load and score within these, in a process of
        its own
    decision_log : folder of the decision log; ``None`` = no log
    log_text : also log the query, messages, tools and answers, which are personal data
    log_fsync : ``never`` leaves it to the system, ``interval`` syncs at most once a second,
        ``always`` after every write; a decision never waits for it
    log_flush_s : seconds that a row may stay in memory, > 0
    log_rotate_bytes : a file is closed once it is this long
    log_queue_rows, log_queue_bytes : rows that may wait, and the length of what they were made
        from; further decisions are dropped and counted
    max_body_bytes, max_batch_body_bytes : longer bodies get 413
    max_buffered_bytes : bodies being received may hold this much together; further ones get 503
    max_batch : requests in one batch
    max_tools, max_messages : in one request, content parts counted as messages
    max_header_bytes : of one request; longer ones get 431
    max_connections : further ones get 503
    max_waiting : requests that may wait to be scored; further ones get 503
    receive_timeout_s : from the first byte of a request to its last
    send_timeout_s : a client that takes none of its answer for so long is cut off
    idle_timeout_s : a connection without a request is closed
    shutdown_s : after SIGTERM, requests under way get so long
    deadline_ms : a request that waited longer to be scored gets 503; the header ``X-Deadline-Ms``
        replaces it
    slow_deadline_ms : the same where the router takes milliseconds (a transformer), and cascades
    batch_deadline_ms : the same for batches
    baseline : candidate that predicted savings are measured against in ``/metrics``; ``""`` = none
    budgets_file : caps on spending; see :mod:`serving.control.budget_file`
    spending_file : keeps what was spent over a restart, where no Redis does; ``None`` = forgotten
    redis_url : where several processes share spending, conversations and health, such as
        ``redis://host:6379/0``; ``""`` = nothing is shared
    breaker_failures : failures of a candidate in a row, as reported, until it is avoided; 0 = never
    breaker_pause_s : until a request may try it again; doubled while that fails, up to ten times
    ttft_quantile : of the reported times to first token that ``max_ttft_ms`` is held against
    session_bytes : memory for what providers have cached of conversations; 0 = none is kept
    session_ttl_s : how long a provider keeps a prompt that is not read again
    derive_sessions : requests without a session id belong to a conversation by caller, tenant,
        system message and first user message
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
    keys_file: Path | None = None
    allow_anonymous: bool = False
    allowed_hosts: tuple[str, ...] = ()
    routers: tuple[str, ...] = ()
    challenger: str = ""
    challenger_share: float = 0.0
    experiment: str = "experiment"
    policy_file: Path | None = None
    prices_file: Path | None = None
    otlp_endpoint: str = ""
    webhook_secret: str = field(default="", repr=False)
    rules_file: Path | None = None
    measures_file: Path | None = None
    aliases_file: Path | None = None
    poll_interval_s: float = 10.0
    cache_dir: Path | None = None
    load_timeout_s: float = 120.0
    load_memory_mb: int = 2_048
    decision_log: Path | None = None
    log_text: bool = False
    log_fsync: Literal["never", "interval", "always"] = "interval"
    log_flush_s: float = 0.2
    log_rotate_bytes: int = 128_000_000
    log_queue_rows: int = 50_000
    log_queue_bytes: int = 64_000_000
    max_body_bytes: int = 1_000_000
    max_batch_body_bytes: int = 8_000_000
    max_buffered_bytes: int = 64_000_000
    max_batch: int = 256
    max_tools: int = 1_024
    max_messages: int = 10_000
    max_header_bytes: int = 32_768
    max_connections: int = 2_048
    max_waiting: int = 512
    receive_timeout_s: float = 10.0
    send_timeout_s: float = 30.0
    idle_timeout_s: float = 75.0
    shutdown_s: float = 10.0
    deadline_ms: float = 50.0
    slow_deadline_ms: float = 1_000.0
    batch_deadline_ms: float = 10_000.0
    baseline: str = ""
    budgets_file: Path | None = None
    spending_file: Path | None = None
    redis_url: str = field(default="", repr=False)
    breaker_failures: int = 5
    breaker_pause_s: float = 30.0
    ttft_quantile: float = 0.95
    session_bytes: int = 32_000_000
    session_ttl_s: float = 300.0
    derive_sessions: bool = True
    arm: str = "default"
    random_state: int | None = None

    def __post_init__(self) -> None:
        if not self.bundle:
            raise ConfigError(f"{PREFIX}BUNDLE must name a bundle folder or models:/name@alias")
        for name, low in _AT_LEAST.items():
            if getattr(self, name) < low:
                raise ConfigError(f"{name} must be at least {low}, got {getattr(self, name)}")
        if self.port > 65535:
            raise ConfigError(f"port must be at most 65535, got {self.port}")
        for unit, names in (("seconds", _SECONDS), ("milliseconds", _MILLISECONDS)):
            for name in names:
                if not 0 < getattr(self, name) < 1e6:
                    raise ConfigError(f"{name} must be {unit} above 0, got {getattr(self, name)}")
        self._check_control()
        self._check_routers()
        if self.log_fsync not in ("never", "interval", "always"):
            raise ConfigError(f"log_fsync must be never, interval or always, got {self.log_fsync}")
        if not (self.has_keys or self.allow_anonymous or is_loopback(self.host)):
            raise ConfigError(
                f"without keys the service listens on loopback only, got host {self.host}: set "
                f"{PREFIX}KEYS_FILE or {PREFIX}API_KEYS, or {PREFIX}ALLOW_ANONYMOUS=true to let "
                "everybody who reaches the port route and send feedback"
            )

    def _check_control(self) -> None:
        if not 0.0 < self.ttft_quantile < 1.0:
            raise ConfigError(f"ttft_quantile must be in (0, 1), got {self.ttft_quantile}")
        if self.redis_url and not self.redis_url.startswith(_REDIS_SCHEMES):
            raise ConfigError(f"redis_url must begin with {' or '.join(_REDIS_SCHEMES)}")
        if self.budgets_file is not None and self.workers > 1 and not self.redis_url:
            raise ConfigError(
                f"budgets of {self.workers} workers are counted in Redis: set {PREFIX}REDIS_URL, "
                "or workers=1"
            )
        if self.spending_file is not None and (self.budgets_file is None or self.redis_url):
            raise ConfigError(
                "spending_file keeps what was spent on the budgets of budgets_file where no "
                "redis_url does: set the one or the other"
            )

    def _check_routers(self) -> None:
        if not 0.0 <= self.challenger_share < 1.0:
            raise ConfigError(f"challenger_share must be in [0, 1), got {self.challenger_share}")
        if self.challenger and self.decision_log is None:
            raise ConfigError(f"an experiment needs a log: set {PREFIX}DECISION_LOG")
        if not self.challenger and self.challenger_share:
            raise ConfigError(f"challenger_share needs a challenger: set {PREFIX}CHALLENGER")
        _ = self.sources  # raises where they are wrong

    @property
    def from_registry(self) -> bool:
        """Whether ``bundle`` is a registry address."""
        return self.bundle.startswith(REGISTRY_SCHEME)

    @property
    def sources(self) -> dict[str, str]:
        """Sources of the further routers by name.

        Examples
        --------
        >>> Settings(bundle="out", routers=("deep=models:/deep@champion",)).sources
        {'deep': 'models:/deep@champion'}
        """
        found: dict[str, str] = {}
        for text in self.routers:
            name, gap, source = text.partition("=")
            if not (name and gap and source) or name in found or name == "challenger":
                raise ConfigError(
                    f"routers must be name=source, each name once and not challenger, got {text!r}"
                )
            found[name] = source
        return found

    @property
    def has_keys(self) -> bool:
        """Whether requests must bring a key."""
        return bool(self.api_keys) or self.keys_file is not None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the environment, ``os.environ`` by default.

        Raises
        ------
        ConfigError
            If a ``ROUTER_SERVE_*`` variable is unknown, missing or not of its type.
        """
        given = given_settings(os.environ if environ is None else environ)
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
        return cls(**{name: parse(name, text, hints[name]) for name, text in given.items()})

    def to_environ(self) -> dict[str, str]:
        """The variables that give these settings; worker processes read them."""
        texts: dict[str, str] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if value is not None and value != ():
                text = ",".join(value) if isinstance(value, tuple) else str(value)
                texts[PREFIX + f.name.upper()] = text
        return texts


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
