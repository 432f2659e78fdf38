"""One more candidate: a log with a few outcomes of it, and the router that is learned of both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson
import pandas as pd

from pipelines.api.log import Log
from pipelines.api.sources import price_pair
from pipelines.api.specs import AnyEstimator, estimator_spec
from pipelines.api.workspace import Workspace, bars
from pipelines.artifacts import JoinedFolder, TrainedFolder
from pipelines.config import JoinConfig
from pipelines.options import load_config, read_yaml
from router_ml.errors import ConfigError, SchemaError
from router_ml.features.query import parse_query

if TYPE_CHECKING:
    from pipelines.api.router import Router

_NEEDED: Final = ("prompt", "quality")
_CHARS_PER_TOKEN: Final = 4
_KEPT: Final = ("tier", "encoder_model", "dims", "max_tokens", "quality", "learning", "policy",
                "detect_changes", "cache")  # fmt: skip


def with_newcomer(
    router: Router,
    name: str,
    labels: pd.DataFrame | None,
    price: tuple[float, float],
    card: tuple[float, float] | None,
    log: Log,
    options: Mapping[str, Any],
) -> Router:
    """See :meth:`Router.add_candidate`."""
    from pipelines.api.fitting import fit

    if name in router.candidates.names:
        raise ConfigError(
            f"there is a candidate {name} already; retrain on a log with its outcomes"
        )
    wider = extended(log, name, labels, price)
    config: Mapping[str, Any] = {}
    if router.trained is not None:
        config = read_yaml(TrainedFolder(router.trained).config)
    known = {key: config[key] for key in _KEPT if config.get(key) is not None}
    known |= options
    estimator = _pooled(known.pop("quality", {"name": "stacked"}), name, card)
    policy = known.pop("policy", None)
    if "policy" not in options and router.asked is not None:
        policy = router.asked
    return fit(
        wider,
        policy=policy,
        estimator=estimator,
        candidates=(*router.candidates.names, name),
        **known,
    )


def _pooled(estimator: AnyEstimator, name: str, card: tuple[float, float] | None) -> dict[str, Any]:
    """The router's estimator with the newcomer as a mixture of the candidates that it knows."""
    spec = estimator_spec(estimator)
    pooled: dict[str, Any] = spec if spec["name"] == "pooled" else {"name": "pooled", "base": spec}
    cards = {**(pooled.get("card") or {}), **({} if card is None else {name: card})}
    return {
        **pooled,
        "newcomers": [*pooled.get("newcomers", ()), name],
        **({"card": cards} if cards else {}),
    }


def extended(log: Log, name: str, labels: pd.DataFrame | None, price: tuple[float, float]) -> Log:
    """A log with further answers of a candidate that it may not know; rows as they are otherwise.

    Parameters
    ----------
    labels : a row an answer: ``prompt`` (text, or chat messages) and ``quality`` in [0, 1];
        ``input_tokens``, ``output_tokens`` and ``latency_ms`` where they are known. Without output
        tokens those of the log's mean answer are taken; ``None``: only its price is known
    price : (input, output), US dollars per million tokens

    Raises
    ------
    SchemaError
        If a column is missing, or a quality is not in [0, 1].
    """
    keep = Workspace()
    new: dict[str, tuple[str, ...]] = {"requests": (), "labels": ()}
    if labels is not None:
        _check(name, labels)
        for part, frame in zip(new, _rows(log, name, labels), strict=True):
            frame.to_parquet(keep.path / f"{part}.parquet")
            new[part] = (str(keep.path / f"{part}.parquet"),)
    first, second = price_pair(name, price)
    frame = pd.DataFrame({"candidate": [name], "input_usd_per_mtok": first,
                          "output_usd_per_mtok": second})  # fmt: skip
    frame.to_parquet(keep.path / "prices.parquet")
    # A price list may know it already; what is said here of its price holds.
    listed = pd.read_parquet(JoinedFolder(log.folder).prices)
    listed[listed["candidate"] != name].to_parquet(keep.path / "former_prices.parquet")
    _labels_of(log).to_parquet(keep.path / "former_labels.parquet")
    there = JoinedFolder(log.folder)
    old = read_yaml(there.config)
    kept = {key: old[key] for key in ("test_share", "split_salt", "split_by", "test_from",
                                      "max_tokens") if old.get(key) is not None}  # fmt: skip
    config = load_config(
        JoinConfig,
        overrides={
            **kept,
            "requests": (str(there.outcomes), *new["requests"]),
            "labels": (str(keep.path / "former_labels.parquet"), *new["labels"]),
            "prices": (str(keep.path / "former_prices.parquet"), str(keep.path / "prices.parquet")),
            "exclude": (),
            "check_costs": "report",
            "output": keep.path / "joined",
        },
    )
    with bars():
        wider = Log.join(config)
    wider.kept = (keep, *log.kept)
    return wider


def _check(name: str, labels: pd.DataFrame) -> None:
    if missing := [column for column in _NEEDED if column not in labels]:
        raise SchemaError(
            f"labels of {name} need the columns prompt and quality, {', '.join(missing)} is "
            f"missing; there are {', '.join(map(str, labels.columns))}"
        )
    quality = labels["quality"].to_numpy(dtype=float)
    if not len(labels) or not ((quality >= 0.0) & (quality <= 1.0)).all():
        wrong = quality[~((quality >= 0.0) & (quality <= 1.0))]
        raise SchemaError(
            f"quality of {name} must be in [0, 1] in every row, got "
            f"{wrong[0] if len(wrong) else 'no row'}"
        )


def _rows(log: Log, name: str, labels: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Requests and labels as the join reads them."""
    outcomes = log.outcomes
    plain = [isinstance(prompt, str) for prompt in labels["prompt"]]
    prompts = list(labels["prompt"])
    chars = [parse_query(prompt).history_chars for prompt in prompts]
    output = float(outcomes["output_tokens"].mean())
    time = outcomes["time"].max()
    ids = [f"{name}-{i:06d}" for i in range(len(labels))]
    requests = pd.DataFrame({
        "request_id": ids,
        "time": time,
        "candidate_served": name,
        "query": [p if t else None for p, t in zip(prompts, plain, strict=True)],
        "messages": [None if t else orjson.dumps(p).decode()
                     for p, t in zip(prompts, plain, strict=True)],
        "input_tokens": _known(labels, "input_tokens", [max(1, n // _CHARS_PER_TOKEN)
                                                        for n in chars]),
        "output_tokens": _known(labels, "output_tokens", [round(output)] * len(labels)),
        "eligible": [[name]] * len(labels),
    })  # fmt: skip
    if "latency_ms" in labels:
        requests["latency_ms"] = labels["latency_ms"].to_numpy(dtype=float)
    if outcomes["propensity"].notna().all():
        requests["propensity"] = _propensity(outcomes)
    rated = pd.DataFrame({
        "request_id": ids,
        "name": "quality",
        "value": labels["quality"].to_numpy(dtype=float),
        "source": "checker",
        "weight": 1.0,
        "time": time,
    })  # fmt: skip
    return requests, rated


def _propensity(outcomes: pd.DataFrame) -> float:
    """With it a label of the newcomer weighs as much as the log's mean label does.

    A label's weight is the inverse of its propensity and of the probability that it was given; the
    newcomer's were all given.
    """
    labelled = float(outcomes["quality"].notna().mean())
    mean_weight = float((1.0 / outcomes["propensity"]).mean()) / max(labelled, 1e-3)
    return min(1.0, 1.0 / mean_weight)


def _known(labels: pd.DataFrame, column: str, otherwise: list[int]) -> np.ndarray[Any, Any]:
    if column not in labels:
        return np.array(otherwise, dtype=np.int64)
    counts: np.ndarray[Any, Any] = np.rint(labels[column].to_numpy(dtype=float)).astype(np.int64)
    return counts


def _labels_of(log: Log) -> pd.DataFrame:
    """One label a labelled request: what the join made of all of its labels."""
    rated = log.outcomes[log.outcomes["quality"].notna()]
    return pd.DataFrame({
        "request_id": rated["request_id"].to_numpy(),
        "name": "quality",
        "value": rated["quality"].to_numpy(dtype=float),
        "source": rated["label_source"].fillna("checker").to_numpy(),
        "weight": rated["label_weight"].to_numpy(dtype=float),
        "time": rated["time"].to_numpy(),
    })  # fmt: skip
