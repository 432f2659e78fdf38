"""Outcomes to a fitted router, kept as plain files that ``export`` turns into a bundle."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipelines.cache import get_encoder, load_encoder
from pipelines.config import TrainConfig, dump_config
from pipelines.console import progress
from pipelines.policy import solve_policy
from pipelines.tables import TrainingTable, read_candidates, read_outcomes, to_matrices
from pipelines.weighting import inverse_probability_weight
from router_ml.bundle.files import candidates_from, candidates_to_rows, prices_to_dict
from router_ml.errors import SchemaError
from router_ml.estimators.base import Estimator, State
from router_ml.estimators.registry import load_all, make_estimator
from router_ml.estimators.router import Outcomes, RouterEstimator, count_bias
from router_ml.features.encoder import Encoder
from router_ml.features.featurizer import Featurizer
from router_ml.features.lexical import NAMES
from router_ml.features.query import Query
from router_ml.types import BoolArray, CandidateTable, FloatArray, IntArray, Predictions, QueryBatch

ROUTER: Final = "router"
ENCODER: Final = "encoder"
REPORT: Final = "training.json"
CONFIG: Final = "train.yaml"


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """What a router is fitted on: one row a distinct query.

    Parameters
    ----------
    queries : n parsed queries
    batch : their features
    outcomes : means over the requests that asked the same, NaN where unobserved
    group_id : hash of each normalised text, shape (n,)
    candidates : the K candidates
    """

    queries: tuple[Query, ...]
    batch: QueryBatch
    outcomes: Outcomes
    group_id: np.typing.NDArray[np.str_]
    candidates: CandidateTable

    @property
    def groups(self) -> IntArray:
        """Integer codes of ``group_id``, shape (n,)."""
        codes: IntArray = np.unique(self.group_id, return_inverse=True)[1]
        return codes

    def __len__(self) -> int:
        return len(self.queries)

    def take(self, index: IntArray | BoolArray) -> TrainingSet:
        """Rows by position or by mask."""
        rows = np.arange(len(self))[index]
        return replace(
            self,
            queries=tuple(self.queries[i] for i in rows),
            batch=self.batch.take(rows),
            outcomes=self.outcomes.take(rows),
            group_id=self.group_id[rows],
        )


@dataclass(frozen=True, slots=True)
class TrainedRouter:
    """What :func:`run` leaves behind, read back by :func:`load_trained`."""

    estimator: RouterEstimator
    encoder: Encoder
    candidates: CandidateTable
    policy: Mapping[str, Any]
    report: Mapping[str, Any]


def training_set(
    table: TrainingTable,
    candidates: CandidateTable,
    encoder: Encoder,
    *,
    on_progress: Callable[[int], None] | None = None,
) -> TrainingSet:
    """Collapse requests that asked the same, and compute features once a distinct query.

    A cell of ``outcomes.quality`` is the weighted mean of its labels and its weight their total, so
    nothing is lost: squared and logistic losses see the same sums. Labels are weighted by the
    inverse of the probability that the log shows them.
    """
    query_id = np.array(table.query_id)
    distinct, first, code = np.unique(query_id, return_index=True, return_inverse=True)
    shape = (len(distinct), len(table.candidates))

    def mean(values: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
        known = ~np.isnan(values) & (weight > 0) & (table.served >= 0)
        at = (code[known], table.served[known])
        total, mass = np.zeros(shape), np.zeros(shape)
        np.add.at(total, at, values[known] * weight[known])
        np.add.at(mass, at, weight[known])
        return np.divide(total, mass, out=np.full(shape, np.nan), where=mass > 0), mass

    answered = table.succeeded.astype(float)
    quality, mass = mean(table.quality, table.weight * inverse_probability_weight(table))
    outcomes = Outcomes(
        quality=quality,
        input_tokens=mean(table.input_tokens, answered)[0],
        output_tokens=mean(table.output_tokens, answered)[0],
        latency_ms=mean(table.latency_ms, answered)[0],
        weight=mass,
    )
    queries = tuple(table.queries[i] for i in first)
    batch = Featurizer(encoder=encoder).transform(queries, progress=on_progress)
    return TrainingSet(queries, batch, outcomes, np.array(table.group_id)[first], candidates)


def read_training_table(
    joined: Path, split: str | None = None
) -> tuple[TrainingTable, CandidateTable]:
    """Outcomes of a join as arrays, of one split or of all, and its candidates."""
    candidates = read_candidates(joined)
    table = to_matrices(read_outcomes(joined), candidates.names)
    if split is not None:
        table = table.take(np.array(table.split) == split)
    return table, candidates


def fit_router(data: TrainingSet, quality: Estimator) -> RouterEstimator:
    """Fit quality, token and latency estimators; the input estimator is left unfitted."""
    router = RouterEstimator(quality=quality.clone())
    return router.fit(data.batch, data.outcomes, candidates=data.candidates, groups=data.groups)


def training_predictions(router: RouterEstimator, data: TrainingSet) -> Predictions:
    """Predictions of the training rows, quality out-of-fold where the estimator kept it.

    Budgets and floors are solved on these: in-sample qualities are too sharp, and a budget solved
    on them is missed.
    """
    predictions = router.predict(data.batch, data.candidates)
    oof = getattr(router.quality, "oof_", None)
    return predictions if oof is None else replace(predictions, quality=oof)


def run(config: TrainConfig) -> Path:
    """Train on the training split of a join; returns the folder written.

    Raises
    ------
    SchemaError
        If the training split has no labelled request.
    """
    table, candidates = read_training_table(config.joined, split="train")
    if not np.isfinite(table.quality).any():
        raise SchemaError(f"no labelled request in the training split of {config.joined}")
    encoder = get_encoder(
        cache=config.cache,
        kind=config.encoder,
        model=config.encoder_model,
        dims=config.dims,
        max_tokens=config.max_tokens,
    )
    with progress("features", None) as advance:
        data = training_set(table, candidates, encoder, on_progress=advance)
    with progress("fitting estimators", None):
        router = fit_router(data, make_estimator(config.quality))
    report = {
        "rows": len(table),
        "queries": len(data),
        "labelled_cells": int(np.isfinite(data.outcomes.quality).sum()),
        "selection": getattr(router.quality, "report_", {}),
        "cost_bias_in_sample": _bias(router, data),
        "fingerprint": sha256((config.joined / "outcomes.parquet").read_bytes()).hexdigest(),
    }
    return save_trained(config, router, encoder, data, report)


def save_trained(
    config: TrainConfig,
    router: RouterEstimator,
    encoder: Encoder,
    data: TrainingSet,
    report: Mapping[str, Any],
) -> Path:
    """Write state, encoder, candidates, solved policy and report; no pickle among them."""
    shutil.rmtree(config.output, ignore_errors=True)
    config.output.mkdir(parents=True)
    router.get_state().save(config.output / ROUTER)
    encoder.save(config.output / ENCODER)
    policy = solve_policy(config.policy, training_predictions(router, data), data.candidates)
    head = {
        "encoder": {"kind": encoder.kind, "source": config.encoder_model},
        "candidates": candidates_to_rows(data.candidates),
        "prices": prices_to_dict(data.candidates),
        "policy": policy.to_dict(),
        "reference": reference_statistics(data),
        **report,
    }
    (config.output / REPORT).write_text(json.dumps(head, indent=1), encoding="utf-8")
    dump_config(config, config.output / CONFIG)
    return config.output


def load_trained(folder: Path) -> TrainedRouter:
    """Read what :func:`run` wrote."""
    load_all()
    path = folder / REPORT
    if not path.is_file():
        raise SchemaError(f"expected {REPORT} in {folder}, found none; run `router-ml train` first")
    report = json.loads(path.read_text(encoding="utf-8"))
    return TrainedRouter(
        estimator=RouterEstimator.from_state(State.load(folder / ROUTER)),
        encoder=load_encoder(report["encoder"]["kind"], folder / ENCODER),
        candidates=candidates_from(tuple(report["candidates"]), report["prices"]),
        policy=report["policy"],
        report=report,
    )


def reference_statistics(data: TrainingSet) -> dict[str, Any]:
    """Quantiles of the inputs that training saw, for drift."""
    levels = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
    quantiles = np.quantile(data.batch.lexical, levels, axis=0)
    return {
        "quantile_levels": list(levels),
        "lexical": {name: quantiles[:, i].tolist() for i, name in enumerate(NAMES)},
        "tokens": np.quantile(data.batch.tokens.lengths, levels).tolist(),
    }


def _bias(router: RouterEstimator, data: TrainingSet) -> dict[str, dict[str, float | None]]:
    """Relative bias of predicted mean tokens and cost, by candidate."""
    predictions = router.predict(data.batch, data.candidates)
    seen = data.outcomes
    both = np.isfinite(seen.input_tokens) & np.isfinite(seen.output_tokens)
    cost = data.candidates.cost_usd(
        np.where(both, seen.input_tokens, np.nan), np.where(both, seen.output_tokens, np.nan)
    )
    guess = data.candidates.cost_usd(predictions.input_tokens, predictions.output_tokens)
    pairs = {
        "input_tokens": count_bias(predictions.input_tokens, seen.input_tokens),
        "output_tokens": count_bias(predictions.output_tokens, seen.output_tokens),
        "cost_usd": count_bias(guess, cost),
    }
    return {
        name: {
            part: None if np.isnan(values[k]) else round(float(values[k]), 4)
            for part, values in pairs.items()
        }
        for k, name in enumerate(data.candidates.names)
    }
