"""A simulation on one page: cumulative regret, quality and cost, round by round."""

from __future__ import annotations

from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipelines.figures import BASELINE, INK, MUTED, ROUTER, THOUSAND
from pipelines.figures import ORACLE as GREEN
from pipelines.simulation.ledger import LOOP, NEVER, ORACLE, Ledger

_COLOURS: Final = {LOOP: ROUTER, NEVER: BASELINE, ORACLE: GREEN}
_LABELS: Final = {LOOP: "loop", NEVER: "first router kept", ORACLE: "oracle"}


def loop_figure(ledger: Ledger) -> Figure:
    """Three panels over the requests served; dotted lines are events, ticks are promotions."""
    figure = Figure(figsize=(8.0, 8.0))
    panels = figure.subplots(3, 1, sharex=True)
    served = np.cumsum([row["n"] for row in ledger.rounds])
    middle = served - np.array([row["n"] for row in ledger.rounds]) / 2
    for player in (LOOP, NEVER):
        total = np.r_[0.0, ledger.cumulative_regret(player)]
        panels[0].plot(np.r_[0, served], total, color=_COLOURS[player], label=_LABELS[player])
    for player, colour in _COLOURS.items():
        rows = [row[player] for row in ledger.rounds]
        quality = [row["quality"] for row in rows]
        cost = [row["cost_usd"] * THOUSAND for row in rows]
        panels[1].plot(middle, quality, "o-", color=colour, markersize=3, label=_LABELS[player])
        panels[2].plot(middle, cost, "o-", color=colour, markersize=3, label=_LABELS[player])
    for axes, label in zip(
        panels, ("cumulative regret, utility", "quality", "$ per 1,000 requests"), strict=True
    ):
        axes.set_ylabel(label)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.2)
        _mark(axes, ledger, np.r_[0, served], text=axes is panels[0])
    panels[0].legend(frameon=False, fontsize=8, loc="center left")
    panels[1].legend(frameon=False, fontsize=8, loc="lower left")
    panels[2].set_xlabel("requests served")
    panels[0].set_title("Retraining from its own decisions", loc="left", fontsize=11, color=INK)
    return figure


def _mark(axes: Axes, ledger: Ledger, edges: np.ndarray[tuple[int], np.dtype[np.int64]], *,
          text: bool) -> None:  # fmt: skip
    """Events as dotted lines, and a tick at the foot wherever the gate promoted."""
    for i, event in enumerate(ledger.world.events):
        x = edges[event.round]
        axes.axvline(x, color=MUTED, linestyle=":", linewidth=1)
        if text:
            axes.annotate(
                f"{event.candidate} {event.kind}",
                (x, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(3, -2 - 11 * i),
                textcoords="offset points",
                fontsize=7,
                color=MUTED,
                va="top",
            )
    promoted = [
        edges[row["round"] + 1]
        for row in ledger.retrainings
        if row["promoted"] and not row["overridden"]
    ]
    axes.plot(promoted, np.zeros(len(promoted)), "|", color=ROUTER, markersize=12,
              transform=axes.get_xaxis_transform(), clip_on=False)  # fmt: skip
