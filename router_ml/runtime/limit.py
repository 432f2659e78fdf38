"""One limit, applied to all candidates."""

from __future__ import annotations

from dataclasses import dataclass

from router_ml.types.arrays import BoolArray, FloatArray


@dataclass(frozen=True, slots=True)
class Limit:
    """Who meets a limit.

    Parameters
    ----------
    fits : bool array, shape (1, K)
    label : why a candidate that does not fit is ruled out
    nobody : what to say when it leaves nobody; ``""`` = made of the label
    values : predictions that it bounds, shape (1, K), if it bounds any
    soft : where it leaves nobody, it is set aside
    """

    fits: BoolArray
    label: str
    nobody: str = ""
    values: FloatArray | None = None
    soft: bool = False

    def refusal(self, allowed: BoolArray) -> str:
        """What to say when none of ``allowed`` fits."""
        if self.nobody:
            return self.nobody
        if self.values is None:
            return f"no candidate is left: each of those still allowed {self.label}"
        least = float(self.values[allowed].min())
        return (
            f"no candidate meets {self.label}: the lowest prediction among those still allowed is "
            f"{least:.6g}; relax it"
        )
