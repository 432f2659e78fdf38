"""What the company does today, played on a matrix of every outcome."""

from __future__ import annotations

from pathlib import Path

from router_ml.data.full_information import FullInformation
from router_ml.data.outcomes import read_outcomes, to_matrices
from router_ml.evaluation.off_policy.propensities import behavior_policy
from router_ml.types.arrays import FloatArray


def today_on_matrix(truth: FullInformation, joined: Path | None) -> FloatArray | None:
    """Action probabilities of a log's policy on the queries of a matrix, shape (n, K).

    ``None`` without a log, or where most of its requests were served by candidates that the matrix
    does not have.
    """
    if joined is None:
        return None
    table = to_matrices(read_outcomes(joined), truth.candidates.names)
    known = table.take(table.chosen >= 0)
    if len(known) < 0.5 * len(table) or len(known) == 0:
        return None
    return behavior_policy(known, truth.queries)
