"""Cross-validate estimators as routers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipelines.api.comparison import Comparison
from pipelines.api.log import Log, as_log
from pipelines.api.scores import is_scores
from pipelines.api.specs import AnyEstimator, named_specs
from pipelines.api.workspace import bars, cache_folder
from pipelines.console import progress
from pipelines.stages.contest import open_contest
from router_ml.errors import ConfigError
from router_ml.estimators.registry import make_estimator
from router_ml.learning.contest import Contest, enter, joined


def compare(
    log: Log | Path | str,
    estimators: Sequence[AnyEstimator] | Mapping[str, AnyEstimator],
    *,
    folds: int = 5,
    learning: str = "ipw",
    train_share: float = 1.0,
    cache: Path | str | None = None,
) -> Comparison:
    """Cross-validate estimators of quality as routers, at every budget.

    For every fold of prompts each estimator is fitted on the others; budgets, and the hull that
    they are held against, are solved there, too. Then it routes the fold's prompts. Judged by the
    log's matrix, if it has one; else by its own requests, doubly robust, with one model of what was
    not seen for all.

    Parameters
    ----------
    log : of :func:`read_log` or :func:`read_scores`
    estimators : names, estimators or specs; or a mapping, for names of one's own
    folds : at least 2
    learning : ``ipw``, labels weighted by what the log does not show, or ``naive``
    train_share : share of the other folds' prompts that is learned from, in (0, 1]: for a learning
        curve
    cache : folder for encoders

    Raises
    ------
    ConfigError
        If an estimator is not known, or a number is out of range.
    DataError
        If there are too few labels to be judged in folds.

    References
    ----------
    .. [1] Dudík, Langford and Li, "Doubly Robust Policy Evaluation and Learning", ICML 2011.
    .. [2] Hu et al., "RouterBench", 2024: the hull of the constants ("zero router").

    Examples
    --------
    >>> import router_ml as rm
    >>> cv = rm.compare(rm.sample_log(matrix=True), ["constant", "linear"], folds=3)
    >>> cv.table()["kind"].unique().tolist()
    ['constant', 'today', 'hull', 'oracle', 'estimator']
    """
    specs, source = named_specs(estimators), as_log(log)
    if learning not in ("ipw", "naive"):
        raise ConfigError(f"learning must be ipw or naive here, got {learning!r}")
    if folds < 2 or not specs:
        raise ConfigError(
            f"compare needs folds >= 2 and an estimator, got {folds} and {len(specs)}"
        )
    if not 0.0 < train_share <= 1.0:
        raise ConfigError(f"train_share must be in (0, 1], got {train_share}")
    with bars():
        contest, _ = open_contest(
            source.folder,
            source.matrix,
            learning="ipw" if learning == "ipw" else "naive",
            cache=cache_folder(cache),
            nobody_chose=is_scores(source),
        )
        contest = _shortened(contest, train_share)
        entries = {}
        with progress("comparing", len(specs) * folds) as advance:
            for name, spec in specs.items():
                parts = []
                for fold in range(folds):
                    parts.append(enter(contest, make_estimator(spec), n_folds=folds, fold=fold))
                    advance(1)
                entries[name] = joined(contest, parts, folds)
    return Comparison(contest, entries)


def _shortened(contest: Contest, share: float) -> Contest:
    """Learned from a share of the prompts only, the same ones for every estimator."""
    if share == 1.0:
        return contest
    groups = contest.data.groups
    order = np.random.default_rng(0).permutation(int(groups.max()) + 1)
    kept = order < share * len(order)
    return replace(contest, data=contest.data.take(kept[groups]))
