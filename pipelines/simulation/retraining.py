"""What one retraining of the loop came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from router_ml.runtime.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Retraining:
    """One retraining of the loop.

    Parameters
    ----------
    version : of the challenger
    promoted, overridden : whether it is champion now, and whether by word of the operator
    because : why the loop retrained
    report : what the gate said, for people
    changes : candidates whose earlier labels were left out
    runtime : the challenger
    """

    version: str
    promoted: bool
    overridden: bool
    because: str
    report: str
    changes: tuple[dict[str, Any], ...]
    runtime: Runtime
