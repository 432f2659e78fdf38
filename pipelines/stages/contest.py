"""A join, and perhaps a matrix, as what estimators are compared on."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pipelines.artifacts import read_training_table
from pipelines.console import progress
from pipelines.encoders import get_encoder
from router_ml.data.full_information import read_matrix
from router_ml.evaluation.today_on_matrix import today_on_matrix
from router_ml.features.encoder import Encoder
from router_ml.learning.contest import Contest
from router_ml.learning.training_set import training_set


def open_contest(
    joined: Path,
    matrix: Path | None,
    *,
    learning: Literal["ipw", "naive"] = "ipw",
    cache: Path,
    nobody_chose: bool = False,
) -> tuple[Contest, Encoder]:
    """What estimators are compared on, and the encoder of its features.

    Parameters
    ----------
    joined : folder that ``join`` wrote
    matrix : every candidate's outcome on every prompt; without it the log judges, off policy
    learning : ``ipw``, labels weighted by what the log does not show, or ``naive``
    cache : folder for encoders
    nobody_chose : whether the log is a table of scores, so that there is no today

    Raises
    ------
    SchemaError
        If ``joined`` is no folder of a join.
    DataError
        If there are too few labels for folds.
    """
    encoder = get_encoder(cache=cache)
    table, candidates = read_training_table(joined)
    table = table.take(table.chosen >= 0)
    with progress("features", None) as advance:
        data = training_set(
            table, candidates, encoder, weighted=learning == "ipw", on_progress=advance
        )
    if matrix is None:
        return Contest.on_log(data, table), encoder
    truth = read_matrix(matrix, candidates)
    today = None if nobody_chose else today_on_matrix(truth, joined)
    return Contest.on_matrix(data, truth, encoder, today), encoder
