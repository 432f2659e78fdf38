"""The new lines of a decision log, and what became of decisions, as observations."""

from __future__ import annotations

import gzip
import heapq
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipelines.monitor.prices import PriceCheck
from pipelines.monitor.segments import Segmenter
from router_ml.decision_log.verify import log_files
from router_ml.types.failures import outcome_of

_MOST_PENDING: Final = 50_000
"""Decisions whose outcome is waited for; the oldest are given up."""
_MOST_ORPHANS: Final = 20_000
"""Feedback whose decision was not read yet, as that of another worker."""
NO_CLUSTERS: Final[Mapping[str, str]] = {}
AMOUNTS: Final = ("latency_ms", "input_tokens", "output_tokens")


class _Line(NamedTuple):
    """A line that was read: its time, its file, where it ends, and what it says."""

    time: str
    file: str
    end: int
    row: dict[str, Any] | None


@dataclass(slots=True)
class Outcome:
    """One thing that became known of a decision."""

    signal: str
    time: str
    bundle: str
    candidate: str
    predicted: float
    observed: float
    segments: dict[str, str]
    label: str = ""


@dataclass(slots=True)
class Pending:
    """A decision: what was predicted, of whom, and what has been told.

    Parameters
    ----------
    ranking : candidate to quality and latency_ms
    tokens : predicted of the chosen one, input and output; ``None`` where the log has none
    """

    time: str
    bundle: str
    candidate: str
    ranking: dict[str, tuple[float, float]]
    tokens: tuple[float, float] | None
    key: str | None
    segments: dict[str, str]
    told: list[str] = field(default_factory=list)

    def to_list(self) -> list[Any]:
        """As the state file holds it."""
        return [self.time, self.bundle, self.candidate, self.ranking, self.tokens, self.key,
                self.segments, self.told]  # fmt: skip


class LogReader:
    """Follows the files of a decision log.

    Parameters
    ----------
    log : folders or files
    segmenter : names the segments of a decision
    sources : of labels that count
    prices : says whether a bill is as expected

    Attributes
    ----------
    positions : bytes read of each file, decompressed
    versions : bundle id to the router version that names it, in the order in which they came
    candidates : of each bundle, to the mean probability with which they were chosen
    n_decisions, n_outcomes : read so far
    """

    def __init__(
        self,
        *,
        log: Sequence[Path],
        segmenter: Segmenter,
        sources: Sequence[str],
        prices: PriceCheck,
    ) -> None:
        self.log = tuple(log)
        self.segmenter = segmenter
        self.sources = frozenset(sources)
        self.prices = prices
        self.positions: dict[str, int] = {}
        self.versions: dict[str, str] = {}
        self.candidates: dict[str, dict[str, float]] = {}
        self.n_decisions = self.n_outcomes = 0
        self._pending: dict[str, Pending] = {}
        self._orphans: list[dict[str, Any]] = []

    def new_rows(self, most: int = 50_000) -> list[dict[str, Any]]:
        """The next decisions and feedback, in order of time over all files; empty at the end."""
        read = heapq.merge(*map(self._lines_of, log_files(self.log)), key=lambda line: line.time)
        rows: list[dict[str, Any]] = []
        while not rows and (lines := [*itertools.islice(read, most)]):
            self.positions |= {line.file: line.end for line in lines}
            rows = [line.row for line in lines if line.row is not None]
        return rows

    def outcomes(
        self, rows: Sequence[Mapping[str, Any]], clusters: Mapping[str, str] = NO_CLUSTERS
    ) -> list[Outcome]:
        """What the rows say; each thing once a decision.

        Parameters
        ----------
        clusters : of decisions, by their ids
        """
        found: list[Outcome] = []
        orphans, self._orphans = self._orphans, []
        for row in rows:
            if row["kind"] == "decision":
                self._decided(row, clusters.get(str(row["decision_id"])))
        for row in [*orphans, *rows]:
            if row["kind"] == "feedback":
                found += self._told(row)
        self.n_outcomes += len(found)
        return found

    def _lines_of(self, path: Path) -> Iterator[_Line]:
        """Lines of a file from where it was left."""
        name = path.name.removesuffix(".gz")
        end, time = self.positions.get(name, 0), ""
        if not path.is_file() or (path.suffix != ".gz" and path.stat().st_size <= end):
            return
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            file.seek(end)
            for raw in file:
                if not raw.endswith(b"\n"):  # a write under way
                    return
                end += len(raw)
                row = _parsed(raw)
                time = time if row is None else str(row.get("time", time))
                yield _Line(time, name, end, row)

    def _decided(self, row: Mapping[str, Any], cluster: str | None) -> None:
        bundle = str(row["bundle_id"])
        if bundle not in self.versions:
            self.versions[bundle] = str(row["router_version"])
            self.candidates[bundle] = dict(
                zip(map(str, row["candidates"]), map(float, row["action_probs"]), strict=True)
            )
        tokens = row.get("predicted_input_tokens"), row.get("predicted_output_tokens")
        self._pending[str(row["decision_id"])] = Pending(
            time=str(row["time"]),
            bundle=bundle,
            candidate=str(row["candidate"]),
            ranking={
                str(line["candidate"]): (float(line["quality"]), float(line["latency_ms"]))
                for line in row["ranking"]
            },
            tokens=None if None in tokens else (float(tokens[0]), float(tokens[1])),  # type: ignore[arg-type]
            key=row.get("key"),
            segments=self.segmenter.segments(row, cluster),
        )
        self.n_decisions += 1
        if len(self._pending) > _MOST_PENDING:
            self._pending.pop(next(iter(self._pending)))

    def _told(self, row: Mapping[str, Any]) -> Iterator[Outcome]:
        decision = self._pending.get(str(row["decision_id"]))
        if decision is None:
            if len(self._orphans) < _MOST_ORPHANS:
                self._orphans.append(dict(row))
            return
        if row.get("labels_others") is False and row.get("key") != decision.key:
            return
        served = str(row.get("candidate_served") or decision.candidate)
        for signal, label, predicted, observed in self._said(row, decision, served):
            mark = f"{signal}:{label}"
            if mark not in decision.told:
                decision.told.append(mark)
                yield Outcome(signal, str(row["time"]), decision.bundle, served, predicted,
                              observed, decision.segments, label)  # fmt: skip

    def _said(
        self, row: Mapping[str, Any], decision: Pending, served: str
    ) -> Iterator[tuple[str, str, float, float]]:
        """Signal, label, prediction and value."""
        quality, latency = decision.ranking.get(served, (None, None))
        if row.get("quality") is not None and quality is not None and row["source"] in self.sources:
            yield "quality", str(row["name"]), quality, float(row["quality"])
        outcome = outcome_of(row.get("status"), row.get("error_class"))
        if outcome in ("success", "failure"):
            yield "errors", "", 0.5, float(outcome == "failure")
        if outcome in ("failure", "client_error"):
            return
        of_chosen = decision.tokens if served == decision.candidate else None
        foreseen = (latency, *(of_chosen or (None, None)))
        for signal, predicted in zip(AMOUNTS, foreseen, strict=True):
            value = row.get(signal)
            if value is not None and value > 0:
                yield signal, "", predicted or 1.0, float(value)
        bill = [row.get(name) for name in (*AMOUNTS[1:], "cost_usd")]
        if None not in bill:
            differs = self.prices.differs(served, *map(float, bill))  # type: ignore[arg-type]
            if differs is not None:
                yield "price", "", 0.5, float(differs)

    def state(self) -> dict[str, Any]:
        """JSON-able; :meth:`load` takes it back."""
        return {
            "positions": self.positions,
            "versions": self.versions,
            "candidates": self.candidates,
            "n_decisions": self.n_decisions,
            "n_outcomes": self.n_outcomes,
            "pending": {name: row.to_list() for name, row in self._pending.items()},
            "orphans": self._orphans,
            "prices": self.prices.state(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on where another was."""
        self.positions = dict(state["positions"])
        self.versions, self.candidates = dict(state["versions"]), dict(state["candidates"])
        self.n_decisions, self.n_outcomes = state["n_decisions"], state["n_outcomes"]
        self._pending = {name: Pending(*row) for name, row in state["pending"].items()}
        self._orphans = list(state["orphans"])
        self.prices.load(state["prices"])


def _parsed(raw: bytes) -> dict[str, Any] | None:
    """A decision or feedback; ``None`` of any other line."""
    try:
        row = json.loads(raw)
    except ValueError:
        return None
    return row if isinstance(row, dict) and row.get("kind") in ("decision", "feedback") else None
