"""Where the requests of a log would go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from router_ml.data.outcomes import all_candidates, to_matrices
from router_ml.evaluation.columns import in_columns
from router_ml.evaluation.gate.pairing import Contender

if TYPE_CHECKING:
    from pipelines.api.log import Log
    from pipelines.api.router import Router


def traffic(router: Router, log: Log) -> pd.DataFrame:
    """See :meth:`Router.traffic`."""
    outcomes = log.outcomes
    names = all_candidates(outcomes, router.candidates.names)
    table = to_matrices(outcomes, names)
    predictions, _ = Contender(router.runtime, router.held_out).predict(table)
    probs = router.action_probs(predictions)
    mine = in_columns(probs, router.runtime, names).mean(axis=0)
    today = np.bincount(table.served[table.served >= 0], minlength=len(names)) / len(table)
    cost = router.candidates.cost_usd(predictions.input_tokens, predictions.output_tokens)
    sent = (probs * cost).sum(axis=0) / np.where(probs.sum(axis=0) > 0, probs.sum(axis=0), 1)
    spent = dict(zip(router.candidates.names, sent.tolist(), strict=True))
    return pd.DataFrame({
        "candidate": names,
        "today": today,
        "router": mine,
        "change": mine - today,
        "cost_usd": [spent.get(name, np.nan) or np.nan for name in names],
    })  # fmt: skip
