"""Two routers on the same rows: what the promotion gate compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from pipelines.changes import at_current_prices, changes_from, void_outdated
from pipelines.cross_fit import N_FOLDS, fold_of_group
from pipelines.feedback import REGIONS, feedback, regions_of
from pipelines.held_out import HeldOut
from pipelines.matrix import FullInformation, read_matrix
from pipelines.policy import best_constant
from pipelines.tables import TrainingTable, read_outcomes, to_matrices
from router_ml.errors import DataError, OverlapError
from router_ml.estimators.router import PARTS
from router_ml.evaluation.off_policy.estimators import doubly_robust, snips
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.evaluation.off_policy.overlap import overlap
from router_ml.evaluation.report import TrafficShift, traffic_shift
from router_ml.features.query import Query
from router_ml.runtime.runtime import Runtime
from router_ml.types import BoolArray, FloatArray, IntArray, Predictions

MAX_UNSUPPORTED: Final = 0.05
"""Share of requests that may move to or from where the log says too little."""


@dataclass(frozen=True, slots=True)
class PairedRows:
    """Challenger and champion on the same n rows, as if neither had been trained on them.

    Parameters
    ----------
    opponent : ``champion``, or the constant candidate it is where there is none
    quality_difference, cost_difference : challenger minus champion, shape (n,)
    group_id : int array, shape (n,)
    labelled_rows : rows with a quality label
    candidates : names, in the order of ``shift``
    shift : share of requests by candidate under champion and challenger
    basis : where the numbers come from, in words
    queries : the distinct queries
    unsupported : which moved traffic the log cannot judge, in words; ``""`` when it can
    unsupported_mass : share of requests that this is
    """

    opponent: str
    quality_difference: FloatArray
    cost_difference: FloatArray
    group_id: IntArray
    labelled_rows: int
    candidates: tuple[str, ...]
    shift: TrafficShift
    basis: str
    queries: tuple[Query, ...]
    unsupported: str = ""
    unsupported_mass: float = 0.0


@dataclass(frozen=True, slots=True)
class Contender:
    """A router to be compared: as it serves, and what it held out of its own training.

    Parameters
    ----------
    held_out : ``None`` where training kept none; then only a log's test split can judge it
    """

    runtime: Runtime
    held_out: HeldOut | None = None

    def predict(self, table: TrainingTable) -> tuple[Predictions, BoolArray]:
        """Predictions of all n requests, and of which of them the router had not seen the prompt.

        Queries that it was trained on get the predictions that were held out of its training,
        all others those that it serves.
        """
        query_id, group_id = np.array(table.query_id), np.array(table.group_id)
        distinct, first, code = np.unique(query_id, return_index=True, return_inverse=True)
        held_out = self.held_out
        if held_out is None or held_out.candidates != self.runtime.candidates.names:
            served = self.runtime.predict(tuple(table.queries[i] for i in first)).take(code)
            return served, np.array(table.split) == "test"
        known = np.isin(distinct, held_out.query_id)
        seen = np.isin(group_id[first], held_out.group_id)
        new = tuple(table.queries[i] for i in first[~known])
        asked = self.runtime.predict(new) if new else None
        order = np.argsort(held_out.query_id)
        row = order[np.searchsorted(held_out.query_id, distinct[known], sorter=order)]
        parts = {}
        for part in PARTS:
            values = np.empty((len(distinct), len(held_out.candidates)))
            values[known] = getattr(held_out.predictions, part)[row]
            if asked is not None:
                values[~known] = getattr(asked, part)
            parts[part] = values[code]
        return Predictions(**parts), (known | ~seen)[code]


def pair(
    challenger: Contender,
    champion: Contender | None,
    *,
    joined: Path | None,
    matrix: Path | None,
    by_region: bool = True,
) -> PairedRows:
    """Play both on a full-information matrix where there is one, else on the whole of a log.

    Parameters
    ----------
    champion : ``None`` = the best constant candidate: with a matrix the best on these rows, chosen
        with hindsight; on a log, for every fold of prompts, the best of the others
    joined : folder that ``join`` wrote; with a matrix its training prompts are left out
    by_region : whether a log must support a candidate in every query region, or over all queries

    Raises
    ------
    DataError
        If nothing was named, or nothing is left to compare on.
    """
    if matrix is not None:
        served = None if champion is None else champion.runtime
        return _on_matrix(challenger.runtime, served, joined, matrix)
    if joined is None:
        raise DataError("the gate needs a joined log or a matrix to compare on; name one")
    return _on_log(challenger, champion, joined, by_region=by_region)


def _on_matrix(
    challenger: Runtime, champion: Runtime | None, joined: Path | None, matrix: Path
) -> PairedRows:
    names = _union(challenger.candidates.names, champion.candidates.names if champion else ())
    truth = _unseen(read_matrix(matrix, names), joined)
    new = action_probs(challenger, challenger.predict(truth.queries), names)
    if champion is None:
        best = best_constant(truth.quality, truth.cost_usd)
        opponent, old = names[best], constant_probs(len(truth), len(names), best)
    else:
        opponent, old = "champion", action_probs(champion, champion.predict(truth.queries), names)
    return PairedRows(
        opponent=opponent,
        quality_difference=((new - old) * truth.quality).sum(axis=1),
        cost_difference=((new - old) * truth.cost_usd).sum(axis=1),
        group_id=truth.groups,
        labelled_rows=len(truth),
        candidates=names,
        shift=traffic_shift(old, new),
        basis=f"{len(truth):,} unseen queries, every outcome known",
        queries=truth.queries,
    )


def _unseen(truth: FullInformation, joined: Path | None) -> FullInformation:
    if joined is None:
        return truth
    frame = read_outcomes(joined, columns=["group_id", "split"])
    trained_on = set(frame.loc[frame["split"] == "train", "group_id"])
    kept = truth.take(np.array([group not in trained_on for group in truth.group_id]))
    if len(kept) == 0:
        raise DataError(
            "every prompt of the matrix is in the training split of the joined log; there is "
            "nothing unseen to compare on"
        )
    return kept


def _on_log(
    challenger: Contender, champion: Contender | None, joined: Path, *, by_region: bool
) -> PairedRows:
    outcomes = read_outcomes(joined)
    players = [challenger] if champion is None else [challenger, champion]
    routers = [player.runtime for player in players]
    logged = sorted(set(outcomes["candidate_chosen"]) | set(outcomes["candidate_served"]))
    names = _union(*(router.candidates.names for router in routers), logged)
    changes = changes_from(routers[0].manifest.training.get("changes", ()))
    everything = at_current_prices(void_outdated(to_matrices(outcomes, names), changes), joined)
    played = [player.predict(everything) for player in players]
    fair = np.logical_and.reduce([unseen for _, unseen in played])
    table = everything.take(fair)
    if not np.isfinite(table.quality).any():
        raise DataError(
            "no labelled request of the log has a prompt that neither router was trained on; join "
            "more log, register versions with trained=…, or name a matrix"
        )
    scores = [predictions.take(np.flatnonzero(fair)) for predictions, _ in played]
    new = action_probs(routers[0], scores[0], names)
    if champion is None:
        opponent, old = _constants(everything, fair)
    else:
        opponent, old = "champion", action_probs(routers[1], scores[1], names)
    quality, cost_usd = feedback(table)
    region = regions_of(table) if by_region else None
    text, mass = unsupported(quality, new - old, names, region)
    queries = dict(zip(table.query_id, table.queries, strict=True))
    return PairedRows(
        opponent=opponent,
        quality_difference=difference(quality, new, old, _guess(routers, scores, names)[0]),
        cost_difference=difference(cost_usd, new, old, _guess(routers, scores, names)[1]),
        group_id=quality.group_id,
        labelled_rows=int(quality.labelled.sum()),
        candidates=names,
        shift=traffic_shift(old, new),
        basis=(
            f"{len(table):,} of {len(everything):,} logged requests, {len(queries):,} distinct, "
            "played by routers that had not seen their prompts, doubly robust"
        ),
        queries=tuple(queries.values()),
        unsupported=text,
        unsupported_mass=mass,
    )


def _constants(table: TrainingTable, judged: BoolArray) -> tuple[str, FloatArray]:
    """For every judged request the constant that is best by the other folds of prompts."""
    fold = fold_of_group(np.array(table.group_id))
    k = len(table.candidates)
    probs = np.zeros((len(table), k))
    names: list[str] = []
    for f in range(N_FOLDS):
        mine = fold == f
        best = best_logged(table.take(~mine))
        probs[mine] = constant_probs(int(mine.sum()), k, best)
        names.append(table.candidates[best])
    return " / ".join(dict.fromkeys(names)), probs[judged]


def action_probs(runtime: Runtime, predictions: Predictions, names: Sequence[str]) -> FloatArray:
    """Probabilities of a runtime's policy, in the columns of ``names``, shape (n, len(names))."""
    probs = np.zeros((len(predictions), len(names)))
    columns = [names.index(name) for name in runtime.candidates.names]
    probs[:, columns] = runtime.policy.action_probs(predictions, runtime.candidates)
    return probs


def constant_probs(n: int, k: int, candidate: int) -> FloatArray:
    """Probability one on one candidate, shape (n, k)."""
    return np.tile(np.eye(k)[candidate], (n, 1))


def _union(*lists: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for names in lists for name in names))


def best_logged(log: TrainingTable) -> int:
    """Best constant of a log by SNIPS; the cheaper among equals."""
    quality, cost_usd = feedback(log)
    k = len(log.candidates)
    values = np.full((k, 2), [-np.inf, np.inf])
    for candidate in range(k):
        probs = constant_probs(len(log), k, candidate)
        try:
            values[candidate] = snips(quality, probs).value, snips(cost_usd, probs).value
        except OverlapError:
            continue  # never served and labelled: it cannot be the one to beat
    return int(np.lexsort((values[:, 1], -np.round(values[:, 0], 12)))[0])


def _guess(
    routers: Sequence[Runtime], scores: Sequence[Predictions], names: Sequence[str]
) -> tuple[FloatArray, FloatArray]:
    """Predicted quality and cost in the columns of ``names``: the first router that knows each.

    Candidates that no router knows get 0; neither policy plays them, so it is never used.
    """
    quality = np.zeros((len(scores[0]), len(names)))
    cost_usd = np.zeros_like(quality)
    for router, score in reversed(list(zip(routers, scores, strict=True))):
        table = router.candidates
        columns = [names.index(name) for name in table.names]
        quality[:, columns] = score.quality
        cost_usd[:, columns] = table.cost_usd(score.input_tokens, score.output_tokens)
    return quality, cost_usd


def difference(
    log: LoggedFeedback, new: FloatArray, old: FloatArray, guess: FloatArray
) -> FloatArray:
    """Doubly robust row values, challenger minus champion; both by the same predictions."""
    challenger, champion = doubly_robust(log, new, guess), doubly_robust(log, old, guess)
    difference: FloatArray = challenger.influence - champion.influence
    return difference


def unsupported(
    log: LoggedFeedback, moved: FloatArray, names: Sequence[str], region: IntArray | None
) -> tuple[str, float]:
    """What the log cannot say about the requests that would move, and the share that they are.

    Those that stay cancel out.
    """
    parts, mass = [], 0.0
    for label, probs in (("to", np.maximum(moved, 0.0)), ("from", np.maximum(-moved, 0.0))):
        regions = ("all queries",) if region is None else REGIONS
        diagnosis = overlap(log, probs, candidates=names, region=region, regions=regions)
        if diagnosis.unsupported_mass > MAX_UNSUPPORTED:
            parts.append(f"moving {label} {diagnosis.text}")
            mass += diagnosis.unsupported_mass
    return "; ".join(parts), mass
