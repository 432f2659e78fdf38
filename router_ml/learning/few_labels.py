"""What is learned from a log with next to no labels: every candidate's mean."""

from __future__ import annotations

from typing import Final

import numpy as np

from router_ml.estimators.base import Estimator
from router_ml.estimators.constant import ConstantEstimator
from router_ml.learning.training_set import TrainingSet

MIN_PROMPTS: Final = 20
"""Distinct labelled prompts below which nothing but means is learned.

With fewer, a fold may hold all labels of a candidate, and no difference between prompts could be
told from noise.
"""


def learnable(data: TrainingSet, quality: Estimator) -> tuple[Estimator, str]:
    """The estimator that this much data can teach, and a sentence where it is not the one given."""
    labelled = np.isfinite(data.outcomes.quality).any(axis=1)
    prompts = len(np.unique(data.groups[labelled]))
    alone = isinstance(quality, ConstantEstimator) or not quality.needs_labels
    if prompts >= MIN_PROMPTS or alone:
        return quality, ""
    return ConstantEstimator(), (
        f"{prompts} labelled prompts are too few to learn which prompt needs which candidate "
        f"(at least {MIN_PROMPTS}): every prompt is given each candidate's mean quality"
    )
