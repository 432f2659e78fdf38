"""Which requests of a log to judge next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.api.log import Log
from pipelines.api.router import Router
from pipelines.stages import label_proposal
from pipelines.stages.label_proposal import LabelProposal
from router_ml.evaluation.gate.pairing import Contender

__all__ = ["LabelProposal", "propose_labels"]


def propose_labels(
    router: Router,
    log: Log | Path | str | None = None,
    *,
    champion: Router | None = None,
    budget: int = 200,
    **options: Any,
) -> LabelProposal:
    """Draw the unlabelled requests that a comparison waits for; as ``router-ml label propose``.

    A request is drawn the more often, the more its missing label adds to the variance of the doubly
    robust difference of two routers: how much moves there, over its propensity, times how far
    labels of its like are from their guess. Its probability is kept, so that the labels stay
    unbiased.

    Parameters
    ----------
    router : the challenger
    log : to label; default: the one that the router was learned from
    champion : default: what was done today
    budget : labels on average, >= 1
    options : ``floor`` (share of the budget that is spread evenly), ``margin`` (of the gate whose
        power is stated), ``random_state``

    Raises
    ------
    DataError
        If no request is left to label.

    References
    ----------
    .. [1] Zrnic and Candès, "Active Statistical Inference", ICML 2024.

    Examples
    --------
    >>> import router_ml as rm
    >>> router = rm.fit(rm.sample_log(), estimator="linear")
    >>> found = rm.propose_labels(router, budget=20)
    >>> found.requests.columns.tolist()[:4], found.left
    (['request_id', 'prompt', 'answer', 'label_prob'], 79)
    """
    return label_proposal.propose(
        _contender(router),
        router._log(log).folder,
        champion=None if champion is None else _contender(champion),
        budget=budget,
        **options,
    )


def _contender(router: Router) -> Contender:
    return Contender(router.runtime, router.held_out)
