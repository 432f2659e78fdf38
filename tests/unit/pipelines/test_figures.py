"""Names of points that lie on one another are moved apart."""

from __future__ import annotations

import numpy as np

from pipelines.figures import cost_quality
from router_ml.evaluation.curves import Curve
from router_ml.evaluation.intervals import Estimate


def estimate(value: float) -> Estimate:
    return Estimate(value, 0.99 * value, 1.01 * value, 100)


def test_labels_of_one_point_do_not_overlap() -> None:
    same = (estimate(0.8), estimate(0.001))
    constants = {
        "gpt-large": same,
        "gpt-large-2": same,
        "small": (estimate(0.6), estimate(0.0001)),
        "today": (estimate(0.8), estimate(0.00101)),
    }
    figure = cost_quality(
        constants,
        [same],
        zero_router=Curve(np.array([0.0001, 0.001]), np.array([0.6, 0.8])),
        oracle=(estimate(0.95), estimate(0.0005)),
    )
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 5
    for i, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[i + 1 :])
