"""Job configuration: one frozen dataclass per stage, read from YAML, unknown keys refused."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipelines.options import check_fields, dump_config, load_config, resolved
from router_ml.cascade.spec import CascadeConfig
from router_ml.errors import ConfigError
from router_ml.evaluation.gate.gate import DEFAULT_MARGIN

__all__ = [
    "EXCLUSIONS",
    "CertifyConfig",
    "DemoConfig",
    "EvaluateConfig",
    "ExportConfig",
    "InspectConfig",
    "JoinConfig",
    "LabelFile",
    "PromoteConfig",
    "RegisterConfig",
    "RollbackConfig",
    "RouteConfig",
    "ServeConfig",
    "TrainConfig",
    "dump_config",
    "load_config",
    "resolved",
]

EXCLUSIONS: Final = (
    "judge_call",
    "shadow",
    "not_chat",
    "fallback",
    "cache_hit",
    "client_error",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectConfig:
    """What to look at.

    Parameters
    ----------
    files : request logs, labels and price lists, in any order
    """

    files: tuple[str, ...]

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelFile:
    """Label files with names of their own, and what their rows do not say.

    Parameters
    ----------
    files : files or glob patterns
    fields : column of labels -> path or paths in these files, before ``label_fields``
    name, source : of rows that give none
    """

    files: tuple[str, ...]
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    name: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinConfig:
    """Where a log, its labels and its prices are, and how they become outcomes.

    Parameters
    ----------
    requests, decisions, labels, prices : files or glob patterns;
        request logs are told by what they hold (docs/reference/join.md lists the shapes); labels
        CSV, JSON or Parquet, each a pattern or a :class:`LabelFile`; prices a price map or a table.
        ``decisions`` are decision logs of the scoring service, folders or files; one of them and
        ``requests`` is needed.
    output : folder to write to
    request_fields, label_fields, price_fields : column -> path or paths in the record; the first
        with a value wins, and what is not named keeps its default
    price_unit : tokens that a table's prices are for: ``mtok`` (a million), ``ktok``, ``token``
    price_names : candidate, as the log names it -> its name in the price list
    time_zone : IANA name of the zone of times that have none; default: UTC
    time_format : of times that are neither ISO 8601 nor seconds since 1970: ``ms``, ``us``, ``ns``
        (since 1970), or as ``strptime`` takes it
    decimal_comma : whether numbers in text are written 0,5
    csv_encoding : of text files that are not UTF-8, such as ``cp1252``
    label_sources : most trusted first; a label of any other source is rejected
    label_combine : ``priority``: weighted mean inside the most trusted source that has a label;
        ``mean``: weighted mean over all of them
    label_names : labels to use; empty = all
    label_ranges : name -> (worst, best) value, scaled to quality 0 and 1; others are in [0, 1]
    label_values : word -> its value, such as ``{good: 1, bad: 0}``
    cost_unit : of logged costs: ``usd``, ``cents`` or ``micros`` (millionths of a dollar)
    check_costs : what to do where logged costs are a power of ten away from tokens times price:
        ``stop``, or ``report``
    as_of : requests and labels later than this time are not seen
    failure_quality : quality of a failed request; None excludes failed requests instead
    exclude : rules in force, of ``pipelines.config.EXCLUSIONS``
    max_tokens : a larger token count is absurd, and rejected
    naive_times_are_utc : accept times without zone in a file where others have one
    tolerance : largest share of rejected rows, per source
    split_by : ``group``: by salted hash of ``group_id``; ``time``: from ``test_from`` on
    test_share : share of groups (or, without ``test_from``, of requests) in the test split
    split_salt : another salt gives another split; keep it, or old champions see test prompts
    test_from : first time of the test split, for ``split_by: time``
    threads, memory_limit_mb : for DuckDB, which spills to ``output`` beyond it
    """

    requests: tuple[str, ...] = ()
    prices: tuple[str, ...]
    output: Path
    decisions: tuple[str, ...] = ()
    labels: tuple[str | LabelFile, ...] = ()
    request_fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    label_fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    price_fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    price_unit: Literal["mtok", "ktok", "token"] = "mtok"
    price_names: Mapping[str, str] = field(default_factory=dict)
    time_zone: str = ""
    time_format: str = ""
    decimal_comma: bool = False
    csv_encoding: str = ""
    label_sources: tuple[str, ...] = ("checker", "human", "judge", "user")
    label_combine: Literal["priority", "mean"] = "priority"
    label_names: tuple[str, ...] = ()
    label_ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    label_values: Mapping[str, float] = field(default_factory=dict)
    cost_unit: Literal["usd", "cents", "micros"] = "usd"
    check_costs: Literal["stop", "report"] = "stop"
    as_of: datetime | None = None
    failure_quality: float | None = 0.0
    exclude: tuple[str, ...] = EXCLUSIONS
    max_tokens: int = 10_000_000
    naive_times_are_utc: bool = False
    tolerance: float = 0.05
    split_by: Literal["group", "time"] = "group"
    test_share: float = 0.2
    split_salt: str = "router"
    test_from: datetime | None = None
    threads: int = 2
    memory_limit_mb: int = 2_000

    def __post_init__(self) -> None:
        check_fields(self)
        check_reading(self.time_zone, self.csv_encoding)
        if not self.requests and not self.decisions:
            raise ConfigError("missing key requests (or decisions): name a log to join")
        for name, most in (("tolerance", 1.0), ("test_share", 0.99), ("failure_quality", 1.0)):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value <= most:
                raise ConfigError(f"{name} must be in [0, {most:g}], got {value}")
        for name in ("max_tokens", "threads", "memory_limit_mb"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be >= 1, got {getattr(self, name)}")
        if unknown := sorted(set(self.exclude) - set(EXCLUSIONS)):
            raise ConfigError(f"exclude: no rule {unknown}; there are {', '.join(EXCLUSIONS)}")
        if not self.label_sources or len(set(self.label_sources)) < len(self.label_sources):
            raise ConfigError(f"label_sources must be distinct, got {self.label_sources}")
        for name, (worst, best) in self.label_ranges.items():
            if worst == best:
                raise ConfigError(f"label_ranges.{name} must have two ends, got {worst}, {best}")


def check_reading(time_zone: str, csv_encoding: str) -> None:
    """Raise ConfigError on a zone or an encoding that this system does not know."""
    if time_zone:
        try:
            ZoneInfo(time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ConfigError(
                f"time_zone must be an IANA name such as Europe/Berlin, got {time_zone!r}"
            ) from error
    if csv_encoding:
        try:
            codecs.lookup(csv_encoding)
        except LookupError as error:
            raise ConfigError(
                f"csv_encoding must be an encoding such as cp1252, got {csv_encoding!r}"
            ) from error


def _check_range(config: object, names: tuple[str, ...], low: float, high: float) -> None:
    for name in names:
        if not low < getattr(config, name) < high:
            raise ConfigError(f"{name} must be in ({low:g}, {high:g}), got {getattr(config, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """What is learned from a join.

    Parameters
    ----------
    joined : folder that ``join`` wrote
    output : folder to write to; replaced if it is there
    encoder : ``static`` (microseconds; the default) or ``transformer`` (milliseconds)
    encoder_model : any sentence-transformers model, by name or path
    dims : dimensions of a static encoder
    max_tokens : tokens that a transformer encoder reads
    quality : estimator of quality, ``{"name": ..., **arguments}``
    learning : what it is fitted to: ``naive``, the labels as they are; ``ipw``, labels weighted by
        the inverse of the probability that the log shows them; ``dr``, doubly robust
        pseudo-outcomes, which take two fits (docs/concepts/off-policy.md says when they pay)
    candidates : to route among, with a price each; default: all that served a request. One that has
        served none yet is taken for average, and a policy that explores finds out
    detect_changes : leave out labels from before a candidate's quality changed
        (docs/how-to/close-the-loop.md)
    policy : as ``policy.json`` holds it, or ``{"name": "budget", "budget_usd": x}``, or ``{"name":
        "budget", "cost_share": s}``, a share of what the best constant costs. With ``direct: true``
        a budget policy also learns an offset for each candidate, by doubly robust value;
        ``{"name": "thompson"}`` gets each candidate's standard error from the log
    cascade : a cascade to learn as well; needs a log with answers
    cache : folder for encoders and embeddings
    """

    joined: Path
    output: Path
    encoder: Literal["static", "transformer"] = "static"
    encoder_model: str = "sentence-transformers/all-MiniLM-L6-v2"
    dims: int = 256
    max_tokens: int = 256
    quality: Mapping[str, Any] = field(default_factory=lambda: {"name": "stacked"})
    learning: Literal["naive", "ipw", "dr"] = "ipw"
    candidates: tuple[str, ...] = ()
    detect_changes: bool = False
    policy: Mapping[str, Any] = field(
        default_factory=lambda: {"name": "budget", "cost_share": 0.25}
    )
    cascade: CascadeConfig | None = None
    cache: Path = Path(".cache")

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("dims", "max_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be >= 1, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportConfig:
    """How a trained router becomes a bundle.

    Parameters
    ----------
    trained : folder that ``train`` wrote
    joined : folder that ``join`` wrote; its queries are what parity is checked on
    output : folder to write ``bundle/`` and ``parity.json`` to
    parity_queries : queries of the log to check, odd ones come on top
    """

    trained: Path
    joined: Path
    output: Path
    parity_queries: int = 1_000

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateConfig:
    """What a bundle is judged on.

    Parameters
    ----------
    bundle : bundle folder
    output : folder to write to
    joined : folder that ``join`` wrote; without ``matrix`` its test split is the judge, with it its
        training prompts are left out
    trained : folder that ``train`` wrote: by what it held out the whole log is the judge
    matrix : Parquet of every candidate's outcome on every prompt
    budget_shares : operating points of the table, as shares of the best constant's cost
    cost_weight : quality per dollar, for utility and regret
    margin : quality that may be lost, in the sentence that is printed
    max_unsupported : share of a policy's requests that may go where the log says too little; a
        policy beyond it is not judged
    n_resamples : bootstrap samples, on a matrix
    """

    bundle: Path
    output: Path
    joined: Path | None = None
    trained: Path | None = None
    matrix: Path | None = None
    budget_shares: tuple[float, ...] = (0.05, 0.1, 0.25, 0.5, 1.0)
    cost_weight: float = 0.0
    margin: float = DEFAULT_MARGIN
    max_unsupported: float = 0.05
    n_resamples: int = 2_000

    def __post_init__(self) -> None:
        check_fields(self)
        _check_range(self, ("margin",), 0.0, 1.0)
        if self.cost_weight < 0.0:
            raise ConfigError(f"cost_weight must be >= 0, got {self.cost_weight}")
        if not 0.0 <= self.max_unsupported <= 1.0:
            raise ConfigError(f"max_unsupported must be in [0, 1], got {self.max_unsupported}")
        if self.n_resamples < 1 or any(share <= 0.0 for share in self.budget_shares):
            raise ConfigError(
                "n_resamples must be >= 1 and budget_shares > 0, got "
                f"{self.n_resamples} and {self.budget_shares}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifyConfig:
    """What a bundle's quality floor is certified on.

    Parameters
    ----------
    bundle : bundle folder
    joined : folder that ``join`` wrote: its training split names the reference, its test split is
        what is certified on unless there is a ``matrix``
    output : folder to write ``bundle/`` and ``certificate.json`` to; replaced if it is there
    matrix : Parquet of every candidate's outcome on every prompt; training prompts are left out
    floor : share of the reference's mean quality that must be kept, in (0, 1)
    delta : probability with which the floor may be broken, in (0, 1)
    method : ``betting``, or ``hoeffding-bentkus``
    """

    bundle: Path
    joined: Path
    output: Path
    matrix: Path | None = None
    floor: float = 0.98
    delta: float = 0.05
    method: Literal["betting", "hoeffding-bentkus"] = "betting"

    def __post_init__(self) -> None:
        check_fields(self)
        _check_range(self, ("floor", "delta"), 0.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterConfig:
    """A bundle that becomes a version in the registry, and what is recorded of its making.

    Parameters
    ----------
    bundle : bundle folder
    parity : what ``export`` proved; default: ``parity.json`` beside the bundle
    trained, joined, evaluation : folders of these stages; their configs, reports, figures and
        metrics are recorded
    matrix : Parquet that ``evaluation`` was made on
    name : registered model
    experiment : of the run
    """

    bundle: Path
    parity: Path | None = None
    trained: Path | None = None
    joined: Path | None = None
    evaluation: Path | None = None
    matrix: Path | None = None
    name: str = "router"
    experiment: str = "router"

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteConfig:
    """When a challenger replaces the champion.

    Parameters
    ----------
    joined : folder that ``join`` wrote; all of it is the judge unless there is a ``matrix``
    matrix : Parquet of every candidate's outcome on every prompt
    name : registered model
    version : to judge; default: the one with the alias ``challenger``
    opponent : of a first promotion, on a log: ``today``, what the logging policy did; or
        ``constant``, the best constant candidate. The others are reported beside it
    mode : ``save``: quality not worse by more than ``margin``, and cheaper; ``superior``: higher
        utility at ``cost_weight``
    margin : quality that may be lost
    alpha : one-sided error rate
    cost_weight : quality per dollar, fixed before looking
    gain : true utility gain for which power is stated
    target_power : power that the stated number of rows would give
    peeking : see ``Gate``; ``spending`` keeps ``alpha`` over all
        challengers of one champion together
    support_by_region : a log must support a candidate in every query region that would move to it;
        false: over all queries, for logs of a few hundred labels, which have few in any region
    max_p50_ms, max_p99_ms : limits of the time of a decision, without HTTP
    latency_queries : queries timed
    override_by, override_reason : who promotes although the gate says no, and why; both or none
    """

    joined: Path | None = None
    matrix: Path | None = None
    name: str = "router"
    version: int | None = None
    opponent: Literal["today", "constant"] = "today"
    mode: Literal["save", "superior"] = "save"
    margin: float = DEFAULT_MARGIN
    alpha: float = 0.025
    cost_weight: float = 0.0
    gain: float = 0.02
    target_power: float = 0.8
    peeking: Literal["once", "sequence", "spending"] = "spending"
    support_by_region: bool = True
    max_p50_ms: float = 1.0
    max_p99_ms: float = 3.0
    latency_queries: int = 300
    override_by: str = ""
    override_reason: str = ""

    def __post_init__(self) -> None:
        check_fields(self)
        _check_range(self, ("alpha",), 0.0, 0.5)
        _check_range(self, ("target_power",), 0.0, 1.0)
        for name in ("margin", "gain", "max_p50_ms", "max_p99_ms", "latency_queries"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be > 0, got {getattr(self, name)}")
        if self.cost_weight < 0.0:
            raise ConfigError(f"cost_weight must be >= 0, got {self.cost_weight}")
        if bool(self.override_by.strip()) != bool(self.override_reason.strip()):
            raise ConfigError(
                "an override needs both override_by and override_reason, got "
                f"{self.override_by!r} and {self.override_reason!r}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackConfig:
    """Give the alias champion back to the version that had it before.

    Parameters
    ----------
    name : registered model
    by : who rolls back
    reason : why
    """

    name: str = "router"
    by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeConfig:
    """Where the scoring service listens; further settings by ``ROUTER_SERVE_*`` variables.

    Parameters
    ----------
    bundle : bundle folder, or models:/router@champion
    host : address to listen on
    port : TCP port
    workers : processes
    """

    bundle: str
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteConfig:
    """One decision, without a service.

    Parameters
    ----------
    bundle : bundle folder
    query : what is asked; - reads standard input
    cost_weight : quality per dollar
    max_cost_usd : dollars a request
    """

    bundle: Path
    query: str
    cost_weight: float | None = None
    max_cost_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoConfig:
    """What the demo runs on.

    Parameters
    ----------
    data : folder with a log, labels and prices, of any names, and perhaps a matrix to be judged on;
        default: a synthetic world
    output : folder to write to
    cache : folder for encoders
    """

    data: Path | None = None
    output: Path = Path("runs/demo")
    cache: Path = Path(".cache")
