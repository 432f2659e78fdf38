"""How a log, its labels and its prices are read and joined."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipelines.options import check_fields
from router_ml.errors import ConfigError

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
    files : request logs, labels and price lists, paths or URLs, in any order
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
    fields : column of labels, or of comparisons (``candidate_a``, ``candidate_b``, ``winner``,
        ``prompt``), -> path or paths in these files, before ``label_fields``
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
        (since 1970), or as ``strptime`` takes it; several where files differ, the first that fits
    decimal_comma : whether numbers in text are written 0,5
    csv_encoding : of text files that are not UTF-8, such as ``cp1252``
    label_sources : most trusted first; a label of any other source is rejected
    label_combine : ``priority``: weighted mean inside the most trusted source that has a label;
        ``mean``: weighted mean over all of them
    label_names : labels to use; empty = all
    label_settled : share of labels by whose delay requests must have waited for theirs; labels of
        younger ones are left out, where fewer of those have one by now, since what is missing may
        depend on the outcome; 0 = all labels count
    label_ranges : name -> (worst, best) value, scaled to quality 0 and 1; others are in [0, 1]
    label_values : word -> its value, such as ``{good: 1, bad: 0}``
    status_values : word of the log's status -> ``success`` or ``failure``
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
    engine : what runs the SQL: ``duckdb``, in this process, or ``spark``
    spark : Spark's own options, such as ``spark.master``; default: ``local`` with ``threads`` cores
    threads, memory_limit_mb : for DuckDB, which spills to ``output`` beyond it, or Spark's driver
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
    time_format: tuple[str, ...] = ()
    decimal_comma: bool = False
    csv_encoding: str = ""
    label_sources: tuple[str, ...] = ("checker", "human", "judge", "user")
    label_combine: Literal["priority", "mean"] = "priority"
    label_names: tuple[str, ...] = ()
    label_settled: float = 0.95
    label_ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    label_values: Mapping[str, float] = field(default_factory=dict)
    status_values: Mapping[str, str] = field(default_factory=dict)
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
    engine: Literal["duckdb", "spark"] = "duckdb"
    spark: Mapping[str, str] = field(default_factory=dict)
    threads: int = 2
    memory_limit_mb: int = 2_000

    def __post_init__(self) -> None:
        check_fields(self)
        check_reading(self.time_zone, self.csv_encoding)
        if not self.requests and not self.decisions:
            raise ConfigError("missing key requests (or decisions): name a log to join")
        for name, most in (("tolerance", 1.0), ("test_share", 0.99),
                           ("failure_quality", 1.0), ("label_settled", 1.0)):  # fmt: skip
            value = getattr(self, name)
            if value is not None and not 0.0 <= value <= most:
                raise ConfigError(f"{name} must be in [0, {most:g}], got {value}")
        for name in ("max_tokens", "threads", "memory_limit_mb"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be >= 1, got {getattr(self, name)}")
        if unknown := sorted(set(self.exclude) - set(EXCLUSIONS)):
            raise ConfigError(f"exclude: no rule {unknown}; there are {', '.join(EXCLUSIONS)}")
        check_statuses(self.status_values)
        if not self.label_sources or len(set(self.label_sources)) < len(self.label_sources):
            raise ConfigError(f"label_sources must be distinct, got {self.label_sources}")
        for name, (worst, best) in self.label_ranges.items():
            if worst == best:
                raise ConfigError(f"label_ranges.{name} must have two ends, got {worst}, {best}")


def check_statuses(status_values: Mapping[str, str]) -> None:
    """ConfigError unless every word stands for success or failure."""
    if wrong := sorted(set(status_values.values()) - {"success", "failure"}):
        raise ConfigError(f"status_values must be success or failure, got {', '.join(wrong)}")


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
