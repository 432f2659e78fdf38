"""What a simulation earned: the loop next to never retraining and to the oracle."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np

from pipelines.simulation.retraining import Retraining
from pipelines.simulation.traffic import Served
from pipelines.simulation.world import World
from router_ml.types.arrays import FloatArray

LOOP: Final = "loop"
NEVER: Final = "never_retraining"
ORACLE: Final = "oracle"
PLAYERS: Final = (LOOP, NEVER, ORACLE)
Measure = Literal["quality", "utility"]
REGAINED: Final = 0.8
"""Share of the quality lost in a degradation that counts as recovered when it is back."""
TOLERANCE: Final = 0.02
"""Quality, or utility, by which a router may stay below where it was, and be back."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Expected outcome of a router version over all prompts, exploration included.

    Parameters
    ----------
    requests : served so far
    round : whose truth it is measured on
    """

    requests: int
    round: int
    version: str
    quality: float
    cost_usd: float
    utility: float


@dataclass(slots=True)
class Ledger:
    """Books of a simulation; every number is per request unless it says otherwise.

    Parameters
    ----------
    world : the truth
    cost_weight : quality per dollar
    rounds : by round, ``{player: {quality, cost_usd, utility, regret}}``, ``n``, ``events``
    standings : of the version in service at the beginning of every round, and after its events
    retrainings : what every retraining and the gate said
    """

    world: World
    cost_weight: float
    rounds: list[dict[str, Any]] = field(default_factory=list)
    standings: list[Standing] = field(default_factory=list)
    retrainings: list[dict[str, Any]] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """Served so far."""
        return sum(row["n"] for row in self.rounds)

    def stand(self, number: int, version: str, probs: FloatArray, *, since: int = 0) -> None:
        """Enter what a version is worth under the truth of a round, ``since`` requests into it.

        ``probs`` has shape (N, K).
        """
        state = self.world.at(number)
        quality = float((probs * state.quality).sum(axis=1).mean())
        cost_usd = float((probs * state.cost_usd).sum(axis=1).mean())
        utility = quality - self.cost_weight * cost_usd
        requests = self.requests + since
        self.standings.append(Standing(requests, number, version, quality, cost_usd, utility))

    def played(self, number: int, served: Served, never: FloatArray) -> None:
        """Enter a round: what was served, and what others would have served the same requests.

        Parameters
        ----------
        never : float array, shape (N, K), choices of the first router for every prompt
        """
        state, rows = self.world.at(number), served.query
        one_hot = np.eye(never.shape[1])[served.action]
        probs = {
            LOOP: one_hot,
            NEVER: never[rows],
            ORACLE: state.oracle(self.cost_weight)[rows],
        }
        entry: dict[str, Any] = {
            "round": number,
            "n": len(rows),
            "events": [event.text for event in self.world.events_of(number)],
            "versions": sorted(set(served.version), key=int),
        }
        for player, chosen in probs.items():
            quality = float((chosen * state.quality[rows]).sum(axis=1).mean())
            cost_usd = float((chosen * state.cost_usd[rows]).sum(axis=1).mean())
            utility = quality - self.cost_weight * cost_usd
            entry[player] = {"quality": quality, "cost_usd": cost_usd, "utility": utility}
        for player in PLAYERS:
            entry[player]["regret"] = entry[ORACLE]["utility"] - entry[player]["utility"]
        self.rounds.append(entry)

    def retrained(self, number: int, found: Retraining, *, since: int = 0) -> None:
        """Enter a retraining, ``since`` requests after the rounds that were played."""
        self.retrainings.append(
            {
                "round": number,
                "requests": self.requests + since,
                "because": found.because,
                "version": found.version,
                "promoted": found.promoted,
                "overridden": found.overridden,
                "changes": list(found.changes),
                "gate": found.report,
            }
        )

    def cumulative_regret(self, player: str, *, begin: int = 0) -> FloatArray:
        """Regret summed over requests, at the end of every round from ``begin`` on."""
        rows = self.rounds[begin:]
        total: FloatArray = np.cumsum([row[player]["regret"] * row["n"] for row in rows])
        return total

    def summary(self) -> dict[str, float | None]:
        """The numbers to quote.

        ``recovery_requests``: served from the degradation until the first version in service whose
        expected quality has regained :data:`REGAINED` of what was lost; as many as were left where
        that never came, and then ``recovered`` is 0; both ``None`` where no more than
        :data:`TOLERANCE` was lost. ``utility_recovery_requests`` and ``utility_recovered``: the
        same for utility, which is what the policy maximises. ``return_requests`` and ``returned``:
        for quality :data:`TOLERANCE` below what it was, less what the oracle lost too.
        ``quality_regained`` and ``utility_regained``: shares, of the last version before another
        event or the end.
        """
        loop, never = self.cumulative_regret(LOOP), self.cumulative_regret(NEVER)
        begin = self._degraded_round()
        after = [self.cumulative_regret(p, begin=begin)[-1] for p in (LOOP, NEVER)]
        before, degraded = self._around(begin)
        lost = before.quality - degraded.quality
        recovery = self._recovery(begin, "quality")
        utility_recovery = self._recovery(begin, "utility")
        near = before.quality - self._oracle_loss(begin) - TOLERANCE
        returned = self._until(begin, "quality", near)
        settled = self._settled(begin)
        last = self.rounds[-1]
        gated = [row for row in self.retrainings if not row["overridden"]]
        return {
            "recovery_requests": recovery[0],
            "recovered": recovery[1],
            "utility_recovery_requests": utility_recovery[0],
            "utility_recovered": utility_recovery[1],
            "return_requests": returned[0],
            "returned": returned[1],
            "quality_regained": _share(settled.quality - degraded.quality, lost),
            "utility_regained": _share(
                settled.utility - degraded.utility, before.utility - degraded.utility
            ),
            "regret_share_of_never_retraining": float(loop[-1] / never[-1]),
            "regret_share_after_degradation": float(after[0] / after[1]),
            "regret": float(loop[-1]),
            "regret_never_retraining": float(never[-1]),
            "quality_before": before.quality,
            "quality_degraded": degraded.quality,
            "quality_after": last[LOOP]["quality"],
            "quality_after_never_retraining": last[NEVER]["quality"],
            "quality_after_oracle": last[ORACLE]["quality"],
            "cost_after": last[LOOP]["cost_usd"],
            "cost_after_never_retraining": last[NEVER]["cost_usd"],
            "cost_after_oracle": last[ORACLE]["cost_usd"],
            "promoted_by_gate": float(sum(row["promoted"] for row in gated)),
        }

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able dictionary."""
        return {
            "summary": self.summary(),
            "rounds": self.rounds,
            "standings": [
                {name: getattr(row, name) for name in Standing.__slots__} for row in self.standings
            ],
            "retrainings": self.retrainings,
        }

    def _degraded_round(self) -> int:
        return next(event.round for event in self.world.events if event.kind == "degraded")

    def _around(self, begin: int) -> tuple[Standing, Standing]:
        """The version in service just before the degradation, on the truth before and after it."""
        there = [row for row in self.standings if row.requests == self._at(begin)]
        before = [row for row in there if row.round < begin]
        after = [row for row in there if row.round == begin]
        return before[-1], after[0]

    def _settled(self, begin: int) -> Standing:
        """Last version before another event, or the end."""
        later = [event.round for event in self.world.events if event.round > begin]
        end = min(later, default=len(self.rounds))
        return [row for row in self.standings if begin <= row.round < end][-1]

    def _at(self, begin: int) -> int:
        """Requests served when a round began."""
        return int(sum(row["n"] for row in self.rounds[:begin]))

    def _oracle_loss(self, begin: int) -> float:
        """Quality that even the oracle lost in the degradation."""
        quality = [
            float((m.oracle(self.cost_weight) * m.quality).sum(axis=1).mean())
            for m in (self.world.at(begin - 1), self.world.at(begin))
        ]
        return quality[0] - quality[1]

    def _recovery(self, begin: int, name: Measure) -> tuple[float | None, float | None]:
        """Requests until enough is regained and whether it was, where there is enough to regain."""
        before, degraded = (getattr(row, name) for row in self._around(begin))
        lost = before - degraded
        if lost <= TOLERANCE:
            return None, None
        return self._until(begin, name, degraded + REGAINED * lost)

    def _until(self, begin: int, name: Measure, target: float) -> tuple[float, float]:
        """Requests from the degradation to the first version that is worth so much; if it came."""
        served = self._at(begin)
        for row in self.standings:
            if row.requests >= served and row.round >= begin and getattr(row, name) >= target:
                return float(row.requests - served), 1.0
        return float(self.requests - served), 0.0


def _share(part: float, whole: float) -> float:
    """Part of what was lost; all of it where nothing was."""
    return part / whole if whole > 0.0 else 1.0
