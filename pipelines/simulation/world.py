"""A full-information matrix as a world that changes: candidates come, degrade and get repriced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from router_ml.data.full_information import FullInformation
from router_ml.errors import ConfigError
from router_ml.policies.constant import best_constant
from router_ml.types.arrays import BoolArray, FloatArray, IntArray
from router_ml.types.candidates import CandidateTable

Kind = Literal["added", "degraded", "repriced"]
MIN_CANDIDATES: Final = 4


@dataclass(frozen=True, slots=True)
class Event:
    """What happens to a candidate at the beginning of a round.

    Parameters
    ----------
    round : from 0
    kind : ``added``: it can be routed to from now on; ``degraded``: it keeps ``factor`` of its
        right answers, and nobody says so; ``repriced``: it costs ``factor`` times as much
    candidate : name
    factor : see kind
    """

    round: int
    kind: Kind
    candidate: str
    factor: float = 1.0

    @property
    def text(self) -> str:
        """A clause for people."""
        return {
            "added": f"{self.candidate} is added",
            "degraded": f"{self.candidate} keeps {self.factor:.0%} of its right answers",
            "repriced": f"{self.candidate} costs {self.factor:g} times as much",
        }[self.kind]


@dataclass(frozen=True, slots=True)
class WorldState:
    """The truth in force; arrays of shape (n, K), K counts candidates that are still to come.

    Parameters
    ----------
    available : shape (K,)
    candidates : at the prices in force
    """

    available: BoolArray
    quality: FloatArray
    cost_usd: FloatArray
    candidates: CandidateTable

    @property
    def names(self) -> tuple[str, ...]:
        """Candidates that can be routed to."""
        return tuple(np.array(self.candidates.names)[self.available].tolist())

    def utility(self, cost_weight: float) -> FloatArray:
        """Quality less weighted cost, minus infinity for whom there is not yet."""
        value = self.quality - cost_weight * self.cost_usd
        return np.where(self.available, value, -np.inf)

    def oracle(self, cost_weight: float) -> FloatArray:
        """``action_probs`` of whoever knows every outcome, shape (n, K)."""
        probs: FloatArray = np.eye(len(self.available))[self.utility(cost_weight).argmax(axis=1)]
        return probs


class World:
    """Prompts with every candidate's outcome, and what becomes of it.

    Parameters
    ----------
    truth : outcomes and prices before anything happened
    events : in any order
    random_state : draws which right answers a degraded candidate loses
    """

    def __init__(
        self,
        *,
        truth: FullInformation,
        events: Sequence[Event] = (),
        random_state: int = 0,
    ) -> None:
        for event in events:
            truth.candidates.index(event.candidate)
        self.truth = truth
        self.candidates = truth.candidates
        self.events = tuple(sorted(events, key=lambda event: event.round))
        self._luck = np.random.default_rng(random_state).random(len(truth))

    def at(self, number: int) -> WorldState:
        """Truth of a round; -1 is before anything happened."""
        table, quality = self.candidates, self.truth.quality.copy()
        available = np.array(
            [not any(e.kind == "added" and e.candidate == n for e in self.events)
             for n in table.names]
        )  # fmt: skip
        for event in self.events_until(number):
            k = table.index(event.candidate)
            if event.kind == "added":
                available[k] = True
            elif event.kind == "degraded":
                quality[:, k] *= self._luck < event.factor
            else:
                table = _repriced(table, k, event.factor)
        cost_usd = table.cost_usd(self.truth.input_tokens, self.truth.output_tokens)
        return WorldState(available, quality, cost_usd, table)

    def events_of(self, number: int) -> tuple[Event, ...]:
        """What happens at the beginning of a round."""
        return tuple(event for event in self.events if event.round == number)

    def events_until(self, number: int) -> tuple[Event, ...]:
        """What has happened so far, in order."""
        return tuple(event for event in self.events if event.round <= number)


def default_cost_weight(truth: FullInformation) -> float:
    """Quality per dollar at which the cost of the best candidate weighs five points of quality."""
    cost_usd = truth.candidates.cost_usd(truth.input_tokens, truth.output_tokens)
    return float(0.05 / cost_usd[:, best_constant(truth.quality, cost_usd)].mean())


def constants_by_utility(truth: FullInformation, cost_weight: float) -> tuple[str, ...]:
    """Candidates by the utility of always asking them, the best first.

    Raises
    ------
    ConfigError
        If there are fewer than four.
    """
    candidates = truth.candidates
    if len(candidates) < MIN_CANDIDATES:
        raise ConfigError(f"a simulation needs {MIN_CANDIDATES} candidates, got {len(candidates)}")
    cost_usd = candidates.cost_usd(truth.input_tokens, truth.output_tokens)
    utility = (truth.quality - cost_weight * cost_usd).mean(axis=0)
    return tuple(candidates.names[k] for k in np.argsort(-utility))


def write_history(
    folder: Path, world: World, *, query: IntArray, told: BoolArray, rng: np.random.Generator
) -> None:
    """Write the log from before there was a router: every candidate served the same share.

    ``requests.parquet`` and ``labels.parquet``, canonical.

    Parameters
    ----------
    query : rows of the matrix that were asked, shape (n,)
    told : which of them got a label, shape (n,)
    """
    before = world.at(-1)
    action = rng.choice(np.flatnonzero(before.available), size=len(query))
    time = np.datetime64("2026-01-05T08:00:00", "us") + 10_000_000 * np.arange(len(query))
    rows = [
        _history_row(i, world, int(q), int(k), before.names)
        for i, (q, k) in enumerate(zip(query, action, strict=True))
    ]
    folder.mkdir(parents=True, exist_ok=True)
    requests = pa.Table.from_pylist(rows).append_column("time", pa.array(time))
    pq.write_table(requests, folder / "requests.parquet")
    known = np.flatnonzero(told)
    labels = pa.table(
        {
            "request_id": [rows[i]["request_id"] for i in known],
            "name": ["check"] * len(known),
            "value": before.quality[query[known], action[known]],
            "source": ["checker"] * len(known),
            "time": time[known] + 60_000_000,
        }
    )
    pq.write_table(labels, folder / "labels.parquet")


def _history_row(i: int, world: World, q: int, k: int, names: Sequence[str]) -> dict[str, Any]:
    truth = world.truth
    query = truth.queries[q]
    return {
        "request_id": f"history-{i:06d}",
        "candidate_chosen": truth.candidates.names[k],
        "candidate_served": truth.candidates.names[k],
        "eligible": list(names),
        "propensity": 1.0 / len(names),
        "query": query.ask,
        "tools": _json(query.tools),
        "input_tokens": int(truth.input_tokens[q, k]),
        "output_tokens": int(truth.output_tokens[q, k]),
        "latency_ms": float(truth.latency_ms[q, k]),
        "status": "success",
    }


def _json(tools: Sequence[Mapping[str, Any]]) -> str | None:
    return orjson.dumps([dict(tool) for tool in tools]).decode() if tools else None


def _repriced(table: CandidateTable, k: int, factor: float) -> CandidateTable:
    scale = np.where(np.arange(len(table)) == k, factor, 1.0)
    return replace(
        table,
        input_usd_per_mtok=table.input_usd_per_mtok * scale,
        output_usd_per_mtok=table.output_usd_per_mtok * scale,
    )
