"""Print the numbers pinned in test_off_policy.py; plain loops over fractions, no project code.

Run ``python tests/golden/generate_off_policy.py``.
"""

from __future__ import annotations

import sys
from fractions import Fraction
from typing import Any

F = Fraction
# action, propensity, label probability, outcome (None = no label), pi over 3 candidates, q-hat
LOG = [
    (0, F(1, 2), F(1, 2), F(1), (F(1, 4), F(1, 2), F(1, 4)), (F(9, 10), F(3, 5), F(1, 5))),
    (1, F(1, 4), F(1, 1), F(0), (F(0), F(1), F(0)), (F(4, 5), F(1, 2), F(2, 5))),
    (2, F(1, 10), F(4, 5), F(1), (F(1, 2), F(0), F(1, 2)), (F(7, 10), F(3, 10), F(1, 2))),
    (1, F(3, 5), F(1, 2), None, (F(1, 5), F(3, 5), F(1, 5)), (F(1), F(1, 10), F(3, 10))),
    (0, F(2, 5), F(4, 5), F(0), (F(9, 10), F(1, 20), F(1, 20)), (F(1, 2), F(1, 2), F(1, 2))),
    (2, F(1, 5), F(1, 2), F(1, 2), (F(1, 3), F(1, 3), F(1, 3)), (F(2, 5), F(3, 5), F(4, 5))),
]


def show(name: str, value: F | float) -> None:
    """One line of output."""
    sys.stdout.write(f"{name} {float(value)!r}\n")


def weight(row: tuple[Any, ...]) -> F:
    """Importance weight, zero without a label."""
    action, propensity, label_prob, outcome, pi, _ = row
    return F(0) if outcome is None else pi[action] / propensity / label_prob


def estimators() -> None:
    """Values of all estimators, straight from their textbook sums."""
    n = len(LOG)
    dm = sum(sum(p * q for p, q in zip(pi, qh, strict=True)) for *_, pi, qh in LOG) / n
    w = [weight(row) for row in LOG]
    y = [row[3] or F(0) for row in LOG]
    r = [(row[3] - row[5][row[0]]) if row[3] is not None else F(0) for row in LOG]
    show("dm", dm)
    show("ipw", sum(a * b for a, b in zip(w, y, strict=True)) / n)
    show("snips", sum(a * b for a, b in zip(w, y, strict=True)) / sum(w))
    show("dr", dm + sum(a * b for a, b in zip(w, r, strict=True)) / n)
    show("dr_self_normalised", dm + sum(a * b for a, b in zip(w, r, strict=True)) / sum(w))
    show("dr_clip_2", dm + sum(min(a, F(2)) * b for a, b in zip(w, r, strict=True)) / n)
    show("dr_switch_2", dm + sum(a * b for a, b in zip(w, r, strict=True) if a <= 2) / n)
    show("ess", sum(w) ** 2 / sum(a * a for a in w))
    ratio = [row[4][row[0]] / row[1] for row in LOG]
    for name, end in (("worst_low", F(0)), ("worst_high", F(1))):
        filled = [end if row[3] is None else row[3] for row in LOG]
        show(name, sum(a * b for a, b in zip(ratio, filled, strict=True)) / sum(ratio))


def sensitivity(gamma: F) -> None:
    """Try every assignment of extreme weights: 2^5 of them."""
    rows = [row for row in LOG if row[3] is not None]
    ends = []
    for row in rows:
        ratio, odds = row[4][row[0]] / row[1], (1 - row[2]) / row[2]
        ends.append((ratio * (1 + odds / gamma), ratio * (1 + odds * gamma)))
    values = []
    for mask in range(2 ** len(rows)):
        w = [end[mask >> i & 1] for i, end in enumerate(ends)]
        total = sum((a * F(row[3] or 0) for a, row in zip(w, rows, strict=True)), F(0))
        values.append(total / sum(w, F(0)))
    show("gamma_2_low", min(values))
    show("gamma_2_high", max(values))


def cascade() -> None:
    """Per-decision IPW and DR of a two-step cascade, by expanding the products by hand."""
    rho, r = ((F(2), F(1, 2)), (F(1, 3), F(1))), ((F(-1), F(3)), (F(2), F(0)))
    q, v = ((F(1), F(2)), (F(3, 2), F(0))), ((F(4, 5), F(5, 2)), (F(1), F(0)))
    show("pd_ipw", sum(a[0] * b[0] + a[0] * a[1] * b[1] for a, b in zip(rho, r, strict=True)) / 2)
    total = F(0)
    for i in range(2):
        (a, b), (c, d), (e, f), (g, h) = rho[i], r[i], q[i], v[i]
        total += g + a * (c - e) + a * (h + b * (d - f))
    show("pd_dr", total / 2)


if __name__ == "__main__":
    estimators()
    sensitivity(F(2))
    cascade()
