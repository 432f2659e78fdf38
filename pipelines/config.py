"""Job configuration: one frozen dataclass per stage, read from YAML, unknown keys refused."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import yaml

from router_ml.errors import ConfigError

ConfigT = TypeVar("ConfigT")

EXCLUSIONS: Final = ("judge_call", "shadow", "not_chat", "fallback", "cache_hit")


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinConfig:
    """Where a log, its labels and its prices are, and how they become outcomes.

    Parameters
    ----------
    requests, labels, prices : files or glob patterns
        Request logs are LiteLLM JSONL (``.jsonl``, ``.jsonl.gz``) or canonical (``.parquet``,
        ``.csv``); labels CSV, JSONL or Parquet; prices a LiteLLM price map (``.json``) or canonical.
    output : folder to write to
    request_fields, label_fields : column -> path or paths in the record, the first that has a value
        wins; what is not named keeps its default (``pipelines.sources.litellm.FIELDS``)
    label_sources : most trusted first; a label of any other source is rejected
    label_combine : ``priority``: weighted mean inside the most trusted source that has a label;
        ``mean``: weighted mean over all of them
    label_names : labels to use; empty = all
    label_ranges : name -> (worst, best) value, scaled to quality 0 and 1; others are in [0, 1]
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

    requests: tuple[str, ...]
    prices: tuple[str, ...]
    output: Path
    labels: tuple[str, ...] = ()
    request_fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    label_fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    label_sources: tuple[str, ...] = ("checker", "human", "judge", "user")
    label_combine: Literal["priority", "mean"] = "priority"
    label_names: tuple[str, ...] = ()
    label_ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
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
        for name in ("tolerance", "test_share", "failure_quality"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value <= 1.0:
                raise ConfigError(f"{name} must be in [0, 1], got {value}")
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
    policy : as ``policy.json`` holds it, or ``{"name": "budget", "budget_usd": x}``, or ``{"name":
        "budget", "cost_share": s}``, a share of what the best constant costs
    cache : folder for encoders and embeddings
    """

    joined: Path
    output: Path
    encoder: Literal["static", "transformer"] = "static"
    encoder_model: str = "sentence-transformers/all-MiniLM-L6-v2"
    dims: int = 256
    max_tokens: int = 256
    quality: Mapping[str, Any] = field(default_factory=lambda: {"name": "auto"})
    policy: Mapping[str, Any] = field(
        default_factory=lambda: {"name": "budget", "cost_share": 0.25}
    )
    cache: Path = Path(".cache")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateConfig:
    """What a bundle is judged on.

    Parameters
    ----------
    bundle : bundle folder
    output : folder to write to
    joined : folder that ``join`` wrote; without ``matrix`` its test split is the judge, with it its
        training prompts are left out
    matrix : Parquet of every candidate's outcome on every prompt
    budget_shares : operating points of the table, as shares of the best constant's cost
    cost_weight : quality per dollar, for utility and regret
    margin : quality that may be lost, in the sentence that is printed
    n_resamples : bootstrap samples
    """

    bundle: Path
    output: Path
    joined: Path | None = None
    matrix: Path | None = None
    budget_shares: tuple[float, ...] = (0.05, 0.1, 0.25, 0.5, 1.0)
    cost_weight: float = 0.0
    margin: float = 0.01
    n_resamples: int = 2_000


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
    >>> config = load_config(JoinConfig, overrides={
    ...     "requests": "log.jsonl", "prices": "prices.json", "output": "joined"})
    >>> config.requests, config.tolerance
    (('log.jsonl',), 0.05)
    """
    values: dict[str, object] = {}
    if path is not None:
        values.update(_read_yaml(Path(path)))
    values.update({k: v for k, v in (overrides or {}).items() if v is not None})
    return _build(cls, values, "" if path is None else f" (in {path})")


def resolved(config: Any) -> dict[str, Any]:
    """Every key of a config with its value in force, as plain YAML types."""
    return {f.name: _plain(getattr(config, f.name)) for f in dataclasses.fields(config)}


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
        return _coerce(value, next(a for a in args if a is not type(None)), where)
    if origin is Literal:
        if value not in args:
            raise ConfigError(f"{where} must be one of {', '.join(map(str, args))}, got {value!r}")
        return value
    if origin is tuple:
        return _coerce_tuple(value, args, where)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} must be keys and values, got {value!r}")
        return {str(k): _coerce(v, args[1], f"{where}.{k}") for k, v in value.items()}
    if dataclasses.is_dataclass(hint):
        if isinstance(value, hint):  # type: ignore[arg-type]
            return value
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} must be keys and values, got {value!r}")
        return _build(hint, value, f" in {where}")  # type: ignore[arg-type]
    return _coerce_scalar(value, hint, where)


def _coerce_tuple(value: Any, args: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    items = list(value) if isinstance(value, list | tuple) else [value]
    if args[-1] is Ellipsis:
        return tuple(_coerce(item, args[0], where) for item in items)
    if len(items) != len(args):
        raise ConfigError(f"{where} must have {len(args)} values, got {value!r}")
    return tuple(_coerce(item, arg, where) for item, arg in zip(items, args, strict=True))


def _coerce_scalar(value: Any, hint: Any, where: str) -> Any:
    if hint is Any or hint is object:
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
