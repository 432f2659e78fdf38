"""Two ways of making a router, compared over a whole log: cross-fitted pairs for the gate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.cache import get_encoder
from pipelines.changes import (
    at_current_prices,
    find_changes,
    query_features,
    void_outdated,
)
from pipelines.config import TrainConfig
from pipelines.console import progress
from pipelines.cross_fit import N_FOLDS, fold_of_group
from pipelines.feedback import feedback, regions_of
from pipelines.learning import evidence_for, fit_router, training_predictions
from pipelines.pairing import PairedRows, best_logged, constant_probs, difference, unsupported
from pipelines.policy import solve_policy
from pipelines.tables import TrainingTable
from pipelines.train import read_training_table
from pipelines.training_set import TrainingSet, training_set
from router_ml.errors import DataError
from router_ml.estimators.registry import make_estimator
from router_ml.evaluation.report import traffic_shift
from router_ml.features.encoder import Encoder
from router_ml.types import CandidateTable, FloatArray


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What routers made on other folds say of every request, arrays of shape (n, K)."""

    action_probs: FloatArray
    quality: FloatArray
    cost_usd: FloatArray


def pair_cross_fitted(
    challenger: TrainConfig, champion: TrainConfig | None, joined: Path
) -> PairedRows:
    """Make both routers anew on four folds of the log's prompts, and play the fifth, in turns.

    Every request is judged by routers that have not seen its prompt, so all labels count and not
    only the test split's. What is compared is how the two are made; the bundles themselves saw
    another part of the log.

    Parameters
    ----------
    challenger, champion : how they were trained; ``champion=None`` = in every fold, the constant
        that is best by the other folds

    Raises
    ------
    DataError
        If nothing is labelled, or a request has no logged propensity.
    """
    table, candidates = read_training_table(joined, names=challenger.candidates or None)
    table = at_current_prices(table, joined)
    if challenger.detect_changes:
        features = query_features(
            table, training_set(table, candidates, _encoder(challenger)).batch
        )
        table = void_outdated(table, find_changes(table, features))
    if not np.isfinite(table.quality).any():
        raise DataError("the log has no labelled request; join labels, or name a matrix")
    fold = fold_of_group(np.array(table.group_id))
    new = _held_out(challenger, table, candidates)
    if champion is None:
        opponent, old = _constants(table, fold)
    else:
        opponent, old = "champion", _held_out(champion, table, candidates).action_probs
    quality, cost_usd = feedback(table)
    moved = new.action_probs - old
    text, mass = unsupported(quality, moved, table.candidates, regions_of(table))
    queries = dict(zip(table.query_id, table.queries, strict=True))
    return PairedRows(
        opponent=opponent,
        quality_difference=difference(quality, new.action_probs, old, new.quality),
        cost_difference=difference(cost_usd, new.action_probs, old, new.cost_usd),
        group_id=quality.group_id,
        labelled_rows=int(quality.labelled.sum()),
        candidates=table.candidates,
        shift=traffic_shift(old, new.action_probs),
        basis=(
            f"all {len(table):,} logged requests, {len(queries):,} distinct, cross-fitted in "
            f"{N_FOLDS} folds, doubly robust"
        ),
        queries=tuple(queries.values()),
        unsupported=text,
        unsupported_mass=mass,
    )


def _held_out(config: TrainConfig, table: TrainingTable, candidates: CandidateTable) -> HeldOut:
    """Train as configured on all folds but one, and predict that one, in turns."""
    data = training_set(table, candidates, _encoder(config), weighted=config.learning != "naive")
    fold = fold_of_group(data.group_id)
    shape = (len(data), len(candidates))
    out = HeldOut(np.zeros(shape), np.zeros(shape), np.zeros(shape))
    with progress("cross-fitting", N_FOLDS) as advance:
        for f in range(N_FOLDS):
            test = np.flatnonzero(fold == f)
            if len(test):
                _fill(out, config, data, fold != f, test)
            advance(1)
    code = np.unique(np.array(table.query_id), return_inverse=True)[1]
    return HeldOut(out.action_probs[code], out.quality[code], out.cost_usd[code])


def _encoder(config: TrainConfig) -> Encoder:
    return get_encoder(
        cache=config.cache,
        kind=config.encoder,
        model=config.encoder_model,
        dims=config.dims,
        max_tokens=config.max_tokens,
    )


def _fill(
    out: HeldOut,
    config: TrainConfig,
    data: TrainingSet,
    train: np.typing.NDArray[np.bool_],
    test: np.typing.NDArray[np.int64],
) -> None:
    learn = data.take(train)
    router = fit_router(learn, make_estimator(config.quality), learning=config.learning)
    known = evidence_for(config.policy, learn, router)
    policy, _ = solve_policy(
        config.policy, training_predictions(router, learn), data.candidates, known
    )
    predictions = router.predict(data.batch.take(test), data.candidates)
    out.action_probs[test] = policy.action_probs(predictions, data.candidates)
    out.quality[test] = predictions.quality
    out.cost_usd[test] = data.candidates.cost_usd(
        predictions.input_tokens, predictions.output_tokens
    )


def _constants(table: TrainingTable, fold: np.typing.NDArray[np.integer]) -> tuple[str, FloatArray]:
    """The best constant of the other folds, for every fold; its names, and its probabilities."""
    k = len(table.candidates)
    probs = np.zeros((len(table), k))
    names: list[str] = []
    for f in range(N_FOLDS):
        test = fold == f
        best = best_logged(table.take(~test))
        probs[test] = constant_probs(int(test.sum()), k, best)
        names.append(table.candidates[best])
    return " / ".join(dict.fromkeys(names)), probs
