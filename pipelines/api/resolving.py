"""Budgets solved anew, on what a router's training held out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.artifacts import TrainedFolder
from pipelines.options import read_yaml
from pipelines.trained import load_trained
from router_ml.data.outcomes import to_matrices
from router_ml.errors import ConfigError
from router_ml.learning.solve_policy import solve_policy
from router_ml.learning.targets import evidence_of
from router_ml.learning.training_set import training_set
from router_ml.types.candidates import CandidateTable

if TYPE_CHECKING:
    from pipelines.api.router import Router


def resolve(
    router: Router, spec: Mapping[str, Any], candidates: CandidateTable
) -> Mapping[str, Any]:
    """The policy that a spec comes to at these candidates' prices, floored by the log's evidence.

    Raises
    ------
    ConfigError
        If the router's training or log is not known, or the budget cannot be met.
    """
    held_out = router.held_out
    if held_out is None or router.trained is None or router.log is None:
        raise ConfigError(
            f"the numbers of policy {spec.get('name')!r} are solved on what training held out, "
            "which is not known here; load the router with trained= and log=, or fit it with "
            "policy="
        )
    encoder = load_trained(router.trained).router.encoder
    outcomes = router.log.outcomes
    table = to_matrices(outcomes[outcomes["split"] == "train"], held_out.candidates)
    learning = read_yaml(TrainedFolder(router.trained).config).get("learning")
    data = training_set(table, candidates, encoder, weighted=learning != "naive")
    if not np.array_equal(data.query_id, held_out.query_id):
        raise ConfigError(
            f"{router.log.folder} is not the log that {router.trained} was learned from; pass the "
            "one that it was"
        )
    evidence = evidence_of(data, held_out.predictions.quality)
    return solve_policy(spec, held_out.predictions, candidates, evidence)[0].to_dict()
