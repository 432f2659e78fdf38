"""Judge a bundle by a join's comparisons of the test split, and say what these cannot tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipelines.artifacts import JoinedFolder
from pipelines.console import console, print_table
from router_ml.data.preferences import read_preferences
from router_ml.evaluation.pairs import CANNOT_TELL, pair_agreement
from router_ml.learning.pairs import pair_levels
from router_ml.runtime.runtime import Runtime


def evaluate_pairs(runtime: Runtime, joined: Path) -> dict[str, Any] | None:
    """Print and return how often the predicted better candidate won; None without comparisons.

    The rival is one order for all prompts, found on the training comparisons.
    """
    names = runtime.candidates.names
    pairs = read_preferences(JoinedFolder(joined).preferences, names)
    if pairs is None:
        return None
    learned, test = (pairs.take(pairs.split == split) for split in ("train", "test"))
    none = np.zeros((0, len(names)))
    levels = pair_levels(none, none, learned)
    quality = runtime.predict(test.queries).quality if len(test) else np.zeros((0, len(names)))
    found = pair_agreement(quality, levels, test)
    rows = [
        (name.replace("_", " "), f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]", f"{one.n:,}")
        for name, one in found.items()
    ]
    if rows:
        title = "Decided comparisons of the test split in which the predicted better candidate won"
        print_table(title, ("", "share", "comparisons"), rows)
    console.print("Comparisons cannot tell:", highlight=False)
    for line in CANNOT_TELL:
        console.print(f"- {line}", markup=False, highlight=False, soft_wrap=True)
    return {
        "comparisons": len(test),
        "decided": int(test.decided.sum()),
        **{name: one.as_dict() for name, one in found.items()},
        "cannot_tell": list(CANNOT_TELL),
    }
