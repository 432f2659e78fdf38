"""From a log, or a table of scores, to a router."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pipelines.api.log import Log, as_log
from pipelines.api.policies import AnyPolicy, Budget, policy_spec
from pipelines.api.router import Router
from pipelines.api.scores import Costs, Prompts, is_scores, read_scores
from pipelines.api.specs import AnyEstimator, estimator_spec
from pipelines.api.workspace import Workspace, bars, cache_folder
from pipelines.artifacts import RunFolders
from pipelines.config import ExportConfig, TrainConfig
from pipelines.options import load_config
from pipelines.stages import export, train


def fit(
    log: Log | Path | str,
    *,
    policy: AnyPolicy | None = None,
    estimator: AnyEstimator | None = None,
    candidates: Sequence[str] = (),
    output: Path | str | None = None,
    cache: Path | str | None = None,
    **options: Any,
) -> Router:
    """Learn a router from the training split of a log, and export it, parity proven.

    What ``router-ml train`` and ``router-ml export`` do.

    Parameters
    ----------
    log : of :func:`read_log`, or a folder that ``router-ml join`` wrote
    policy : such as ``Budget(cost_share=0.25)``; default: ``Budget(match="today")``, US
        dollars a request that hold today's quality
    estimator : of quality: a name such as ``"knn"``, an estimator, or
        ``{"name": ..., **arguments}``; default: the tier's
    candidates : to route among; default: all that served a request
    output : folder to keep ``trained/`` and ``export/`` in; default: a temporary one
    cache : folder for encoders; default: ``ROUTER_ML_CACHE``, else ``.cache``
    options : further keys of the training, such as ``learning``, or ``tier``: ``fast`` (the
        default), ``balanced`` or ``best``

    Raises
    ------
    ConfigError
        If an option is wrong, or the policy's budget cannot be met.
    SchemaError
        If no request of the training split is labelled.
    ParityError
        If the exported graph and the estimators disagree.

    References
    ----------
    .. [1] Wolpert, "Stacked Generalization", Neural Networks 5, 1992: the default estimator.
    .. [2] Horvitz and Thompson, "A Generalization of Sampling Without Replacement From a Finite
       Universe", JASA 47, 1952: labels weigh what the log does not show.

    Examples
    --------
    >>> import router_ml as rm
    >>> router = rm.fit(rm.sample_log(), estimator="linear", policy=rm.Budget(cost_share=0.5))
    >>> router.candidates.names
    ('atlas-medium', 'atlas-nano', 'delta-max')
    """
    log = as_log(log)
    keep = Workspace(output)
    at = RunFolders(keep.path)
    if policy is None and is_scores(log):
        policy = Budget(match="best_constant")  # nobody chose: there is no today
    given = {} if policy is None else {"policy": policy_spec(policy)}
    config = load_config(
        TrainConfig,
        overrides={
            **options,
            **given,
            **({} if estimator is None else {"quality": estimator_spec(estimator)}),
            "candidates": tuple(candidates),
            "joined": log.folder,
            "output": at.trained,
            "cache": cache_folder(cache),
        },
    )
    with bars():
        trained = train.run(config)
        bundle = export.run(ExportConfig(trained=trained, joined=log.folder, output=at.export))
    return Router(bundle, trained=trained, log=log, keep=[keep])


def fit_scores(
    prompts: Prompts,
    scores: pd.DataFrame,
    costs: Costs,
    *,
    policy: AnyPolicy | None = None,
    estimator: AnyEstimator | None = None,
    test_share: float = 0.2,
    output: Path | str | None = None,
    cache: Path | str | None = None,
    **options: Any,
) -> Router:
    """Learn a router straight from a table of scores; no log is needed.

    Parameters
    ----------
    prompts : n texts, or chat messages each
    scores : shape (n, K), a column a candidate, quality in [0, 1], NaN where unknown
    costs : US dollars of those answers: shape (n, K), or one mean a candidate
    policy, estimator, output, cache, options : as :func:`fit` takes them
    test_share : share of the prompts that :func:`evaluate` judges by, in [0, 1)

    Raises
    ------
    SchemaError
        If shapes or candidates disagree, a score is not in [0, 1], or a cost is not >= 0.

    Examples
    --------
    >>> import router_ml as rm
    >>> table, names = rm.sample_scores(), ["atlas-nano", "delta-max"]
    >>> router = rm.fit_scores(table["prompt"], table[names],
    ...     {"atlas-nano": 0.00005, "delta-max": 0.0023}, estimator="linear")
    >>> router.predict(["Prove it rigorously."])["candidate"].tolist()
    ['atlas-nano', 'delta-max']
    """
    keep = Workspace(output)
    with bars():
        log = read_scores(
            prompts, scores, costs, output=keep.path / "joined", test_share=test_share
        )
        log.kept = (keep,)
    return fit(log, policy=policy, estimator=estimator, output=keep.path, cache=cache, **options)


def load(
    bundle: Path | str, *, trained: Path | str | None = None, log: Log | Path | str | None = None
) -> Router:
    """A router from a bundle folder, verified before anything is built.

    Parameters
    ----------
    bundle : folder that ``Router.save`` or ``router-ml export`` wrote
    trained : folder of its training; with it a budget can be solved anew
    log : that it was learned from; with it a candidate can be added

    Raises
    ------
    BundleError
        If it is no bundle, of an unknown format, or was changed.

    Examples
    --------
    >>> import router_ml as rm
    >>> rm.load("nowhere")
    Traceback (most recent call last):
    router_ml.errors.BundleIntegrityError: expected manifest.json in nowhere, found none; ...
    """
    return Router(
        Path(bundle),
        trained=None if trained is None else Path(trained),
        log=None if log is None else as_log(log),
    )
