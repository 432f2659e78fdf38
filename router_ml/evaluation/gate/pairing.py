"""Two routers on the same rows: what the promotion gate compares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from router_ml.data.changes import at_current_prices, changes_from, void_outdated
from router_ml.data.full_information import FullInformation, read_matrix, unseen
from router_ml.data.groups import N_FOLDS, distinct_rows, hash_folds
from router_ml.data.held_out import HeldOut
from router_ml.data.outcomes import (
    UNSETTLED,
    TrainingTable,
    all_candidates,
    read_outcomes,
    to_matrices,
)
from router_ml.errors import DataError
from router_ml.evaluation.columns import action_probs, union
from router_ml.evaluation.gate.doubly_robust import LoggedSides, Rival
from router_ml.evaluation.gate.support import unsupported, worst_case
from router_ml.evaluation.gate.traffic import TrafficShift, traffic_shift
from router_ml.evaluation.off_policy.balance import with_behavior
from router_ml.evaluation.off_policy.constants import best_logged, can_judge_a_constant
from router_ml.evaluation.off_policy.log_feedback import regions_of
from router_ml.evaluation.off_policy.tail_guards import TailGuard, matrix_outcomes, tail_guards
from router_ml.evaluation.off_policy.today import TODAY, today_probs
from router_ml.evaluation.today_on_matrix import today_on_matrix
from router_ml.features.query import Query
from router_ml.policies.constant import best_constant, constant_probs
from router_ml.runtime.runtime import Runtime
from router_ml.types.arrays import BoolArray, FloatArray, IntArray
from router_ml.types.predictions import PARTS, Predictions

_ON_TEST_SPLIT: Final = " (only the test split: a version was registered without what it held out)"
_ESTIMATED: Final = (
    "; propensities were not logged and are estimated: right as far as what decided who served is "
    "in the text and tools of the requests"
)


@dataclass(frozen=True, slots=True)
class Played:
    """What stands behind the differences of n rows, for those who cut them up.

    Parameters
    ----------
    quality, cost_usd : row values of the challenger, shape (n,)
    before, after : action probabilities of champion and challenger, shape (n, K)
    query : position of every row's query among the distinct ones, shape (n,)
    """

    quality: FloatArray
    cost_usd: FloatArray
    before: FloatArray
    after: FloatArray
    query: IntArray


@dataclass(frozen=True, slots=True)
class PairedRows:
    """Challenger and champion on the same n rows, as if neither had been trained on them.

    Parameters
    ----------
    opponent : ``champion``; where there is none ``today``, or ``constant`` and its name
    quality_difference, cost_difference : challenger minus champion, shape (n,)
    group_id : int array, shape (n,)
    labelled_rows : rows with a quality label
    candidates : names, in the order of ``shift``
    shift : share of requests by candidate under champion and challenger
    basis : where the numbers come from, in words
    queries : the distinct queries
    unsupported : which moved traffic the log cannot judge, in words; ``""`` when it can
    worst_quality_difference : the same with the worst outcome for what cannot be judged, shape (n,)
    rivals : others that the challenger is compared with, for the report alone
    propensity_source : ``logged``, ``estimated``, or ``none`` on a matrix
    played : what the two did, and what came of it
    guards : tails that may not be worse by more than their limits
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
    worst_quality_difference: FloatArray | None = None
    rivals: tuple[Rival, ...] = ()
    propensity_source: str = "none"
    played: Played | None = None
    guards: tuple[TailGuard, ...] = ()


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
        first, code = distinct_rows(table.query_id)
        distinct, group_id = np.array(table.query_id)[first], np.array(table.group_id)[first]
        held_out = self.held_out
        if held_out is None:
            served = self.runtime.predict(tuple(table.queries[i] for i in first)).take(code)
            return served, np.array(table.split) == "test"
        known = np.isin(distinct, held_out.query_id)
        seen = np.isin(group_id, held_out.group_id)
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
    opponent: str = TODAY,
    since: np.datetime64 | None = None,
    loggers: Mapping[str, Runtime] | None = None,
    guards: Mapping[str, float] | None = None,
    cost_weight: float = 0.0,
) -> PairedRows:
    """Play both on a full-information matrix where there is one, else on the whole of a log.

    Parameters
    ----------
    champion : ``None`` = ``opponent``
    opponent : where there is no champion: ``today``, what the log's own policy did; or
        ``constant``, the best constant candidate: for every fold of prompts, the best of the
        others. On a matrix the log's policy is played as ``joined`` lets it be estimated, and
        where that cannot be the opponent is the best constant on these rows, chosen with hindsight
    joined : folder that ``join`` wrote; with a matrix its training prompts are left out
    by_region : whether a log must support a candidate in every query region, or over all queries
    since : of a log, only requests from then on (naive UTC)
    loggers : versions that served the log to their runtimes, those at hand: their requests are
        balanced (:mod:`router_ml.evaluation.off_policy.balance`)
    guards : tails of :mod:`router_ml.evaluation.off_policy.tails` to their limits
    cost_weight : quality per dollar, of tails of utility

    Raises
    ------
    DataError
        If nothing was named, or nothing is left to compare on.
    """
    if matrix is not None:
        served = None if champion is None else champion.runtime
        return _on_matrix(
            challenger.runtime,
            served,
            joined,
            matrix,
            opponent=opponent,
            guards=guards or {},
            cost_weight=cost_weight,
        )
    if joined is None:
        raise DataError("the gate needs a joined log or a matrix to compare on; name one")
    return _on_log(
        challenger,
        champion,
        joined,
        by_region=by_region,
        opponent=opponent,
        since=since,
        loggers=loggers or {},
        guards=guards or {},
        cost_weight=cost_weight,
    )


def _on_matrix(
    challenger: Runtime,
    champion: Runtime | None,
    joined: Path | None,
    matrix: Path,
    *,
    opponent: str,
    guards: Mapping[str, float],
    cost_weight: float,
) -> PairedRows:
    names = union(challenger.candidates.names, champion.candidates.names if champion else ())
    truth = unseen(read_matrix(matrix, names), joined)
    new = action_probs(challenger, challenger.predict(truth.queries), names)
    policies = _policies_on_matrix(truth, joined)
    if champion is not None:
        opponent, old = "champion", action_probs(champion, champion.predict(truth.queries), names)
    else:
        opponent = TODAY if opponent == TODAY and TODAY in policies else [*policies][-1]
        old = policies.pop(opponent)
    return PairedRows(
        opponent=opponent,
        rivals=tuple(_rival_on_matrix(truth, new, *rival) for rival in policies.items()),
        quality_difference=((new - old) * truth.quality).sum(axis=1),
        cost_difference=((new - old) * truth.cost_usd).sum(axis=1),
        group_id=truth.groups,
        labelled_rows=len(truth),
        candidates=names,
        shift=traffic_shift(old, new),
        basis=f"{len(truth):,} unseen queries, every outcome known",
        queries=truth.queries,
        played=Played(
            quality=(new * truth.quality).sum(axis=1),
            cost_usd=(new * truth.cost_usd).sum(axis=1),
            before=old,
            after=new,
            query=np.arange(len(truth)),
        ),
        guards=tail_guards(
            guards, *(matrix_outcomes(truth, p, cost_weight=cost_weight) for p in (new, old))
        ),
    )


def _policies_on_matrix(truth: FullInformation, joined: Path | None) -> dict[str, FloatArray]:
    """Today, where the log tells it, and the best constant last: action probabilities by name."""
    today = today_on_matrix(truth, joined)
    best = best_constant(truth.quality, truth.cost_usd)
    names = truth.candidates.names
    found = {} if today is None else {TODAY: today}
    return found | {f"constant {names[best]}": constant_probs(len(truth), len(names), best)}


def _rival_on_matrix(
    truth: FullInformation, new: FloatArray, name: str, probs: FloatArray
) -> Rival:
    return Rival(
        name=name,
        quality_difference=((new - probs) * truth.quality).sum(axis=1),
        cost_difference=((new - probs) * truth.cost_usd).sum(axis=1),
        cost_usd=float((probs * truth.cost_usd).sum(axis=1).mean()),
    )


def _on_log(
    challenger: Contender,
    champion: Contender | None,
    joined: Path,
    *,
    by_region: bool,
    opponent: str,
    since: np.datetime64 | None,
    loggers: Mapping[str, Runtime],
    guards: Mapping[str, float],
    cost_weight: float,
) -> PairedRows:
    outcomes = read_outcomes(joined)
    if since is not None:
        outcomes = outcomes[outcomes["time"] >= since].reset_index(drop=True)
        if outcomes.empty:
            raise DataError(f"no request was logged since {since}")
    players = [challenger] if champion is None else [challenger, champion]
    routers = [player.runtime for player in players]
    names = all_candidates(outcomes, union(*(router.candidates.names for router in routers)))
    changes = changes_from(routers[0].manifest.training.get("changes", ()))
    everything = with_behavior(
        at_current_prices(void_outdated(to_matrices(outcomes, names), changes), joined), loggers
    )
    played = [player.predict(everything) for player in players]
    fair = np.logical_and.reduce([unseen for _, unseen in played])
    table = everything.take(fair)
    if not np.isfinite(table.quality).any():
        raise DataError(
            "no labelled request of the log has a prompt that neither router was trained on; join "
            f"more log, register versions with trained=…, or name a matrix{UNSETTLED}"
        )
    scores = [predictions.take(np.flatnonzero(fair)) for predictions, _ in played]
    new = action_probs(routers[0], scores[0], names)
    sides = LoggedSides.of(table, routers, scores, names)
    policies = {TODAY: today_probs(sides.quality, len(names))}
    if opponent != TODAY or can_judge_a_constant(everything):
        constant, fixed = _constants(everything, fair)
        policies[f"constant {constant}"] = fixed
        policies |= sides.hull(new, names)
        opponent = opponent if opponent == TODAY else f"constant {constant}"
    if champion is not None:
        opponent, old = "champion", action_probs(routers[1], scores[1], names)
    else:
        old = policies.pop(opponent)
    differences = sides.differences(new, old, today=opponent == TODAY)
    region = regions_of(table) if by_region else None
    # What today did stands in the log, whatever moves; only where requests go must be supported.
    moved = new if opponent == TODAY else new - old
    text, unknown = unsupported(sides.quality, moved, names, region)
    lost, worst_guess = worst_case(sides.quality, moved, sides.guess, unknown)
    first, code = distinct_rows(table.query_id)
    return PairedRows(
        opponent=opponent,
        quality_difference=differences[0],
        cost_difference=differences[1],
        group_id=sides.quality.group_id,
        labelled_rows=int(sides.quality.labelled.sum()),
        candidates=names,
        shift=traffic_shift(old, new),
        basis=(
            f"{len(table):,} of {len(everything):,} logged requests, {len(first):,} distinct, "
            "played by routers that had not seen their prompts, doubly robust"
            + ("" if all(player.held_out for player in players) else _ON_TEST_SPLIT)
            + (_ESTIMATED if table.propensity_source != "logged" else "")
            + ("" if table.loggers is None else f"; {table.loggers.text}")
        ),
        queries=tuple(table.queries[i] for i in first),
        unsupported=text,
        worst_quality_difference=(
            sides.worst(new, old, lost, worst_guess, today=opponent == TODAY) if text else None
        ),
        rivals=tuple(sides.rival(name, new, probs) for name, probs in policies.items()),
        propensity_source=table.propensity_source,
        played=Played(*sides.values(new), before=old, after=new, query=code),
        guards=tail_guards(
            guards,
            sides.outcomes(table, new, cost_weight=cost_weight),
            sides.outcomes(table, old, cost_weight=cost_weight, today=opponent == TODAY),
        )
        if guards
        else (),
    )


def _constants(table: TrainingTable, judged: BoolArray) -> tuple[str, FloatArray]:
    """For every judged request the constant that is best by the other folds of prompts."""
    fold = hash_folds(table.group_id)
    k = len(table.candidates)
    probs = np.zeros((len(table), k))
    names: list[str] = []
    for f in range(N_FOLDS):
        mine = fold == f
        best = best_logged(table.take(~mine))
        probs[mine] = constant_probs(int(mine.sum()), k, best)
        names.append(table.candidates[best])
    return " / ".join(dict.fromkeys(names)), probs[judged]
