"""What one pass from the logs to the gate came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from router_ml.runtime.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Retraining:
    """One pass from the logs to the gate.

    Parameters
    ----------
    version : of the challenger
    promoted, overridden : whether it is champion now, and whether by word of the operator
    report : what the gate said, for people
    changes : candidates whose earlier labels were left out
    runtime : the challenger
    """

    version: str
    promoted: bool
    overridden: bool
    report: str
    changes: tuple[dict[str, Any], ...]
    runtime: Runtime
