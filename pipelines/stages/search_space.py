"""What a search chooses from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import optuna

Space = Callable[[optuna.Trial], dict[str, Any]]
"""A trial to an estimator's spec, ``{"name": ..., **arguments}``."""
MEMBERS: Final = ("extra_trees", "token_weights", "deep_averaging", "knn", "linear")
DEFAULT: Final[dict[str, Any]] = {
    "kind": "stacked",
    **{f"stacked.{name}": name in MEMBERS[:3] for name in MEMBERS},
}
"""Parameters of the stack that training takes by default: the first trial of every search."""


def default_space(trial: optuna.Trial) -> dict[str, Any]:
    """One estimator with its strength of regularisation, or a stack of some.

    A stack's members keep their defaults: their weights are learned in any case.
    """
    kind = trial.suggest_categorical("kind", ("stacked", "knn", "linear", "extra_trees"))
    if kind == "stacked":
        chosen = [
            name for name in MEMBERS if trial.suggest_categorical(f"stacked.{name}", (True, False))
        ]
        if not chosen:
            raise optuna.TrialPruned("a stack without members")
        return {"name": "stacked", "members": {name: {"name": name} for name in chosen}}
    if kind == "knn":
        return {
            "name": "knn",
            "temperature": trial.suggest_float("knn.temperature", 0.02, 0.3, log=True),
            "prior": trial.suggest_float("knn.prior", 0.3, 30.0, log=True),
        }
    if kind == "linear":
        return {
            "name": "linear",
            "shared_penalty": trial.suggest_float("linear.shared_penalty", 10.0, 1e4, log=True),
            "contrast_penalty": trial.suggest_float("linear.contrast_penalty", 30.0, 1e5, log=True),
        }
    return {
        "name": "extra_trees",
        "min_leaf": trial.suggest_int("extra_trees.min_leaf", 3, 60, log=True),
        "prior": trial.suggest_float("extra_trees.prior", 1.0, 50.0, log=True),
        "max_features": trial.suggest_float("extra_trees.max_features", 0.1, 1.0),
    }
