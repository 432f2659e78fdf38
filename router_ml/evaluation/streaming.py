r"""Two policies on a log of any length, in one pass and bounded memory: estimates and gate.

The rows' estimators are those of :mod:`router_ml.evaluation.off_policy.estimators`, applied to one
chunk at a time. What they come to over all chunks are ratios of sums, so sums over units
(:mod:`router_ml.evaluation.off_policy.units`) hold all of it: point estimates are those of the
whole log at once but for rounding, intervals come from the same functions with units in the place
of rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from router_ml.errors import DataError, SchemaError
from router_ml.evaluation.gate.gate import Gate, GateReport
from router_ml.evaluation.intervals import Estimate, cluster_mean
from router_ml.evaluation.off_policy.estimators import RowValues, direct_method, doubly_robust
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.evaluation.off_policy.overlap import Overlap, OverlapSums
from router_ml.evaluation.off_policy.shrinkage import kept_share
from router_ml.evaluation.off_policy.today import on_policy, today_probs
from router_ml.evaluation.off_policy.units import N_UNITS, UnitSums, unit_of
from router_ml.types.arrays import FloatArray, IntArray

CHUNK: Final = 100_000
"""Rows held at once."""
PLAYERS: Final = ("new", "old")
SCALARS: Final = ("group_id", "action", "propensity", "label_prob", "quality", "cost_usd")
LISTS: Final = ("new_probs", "predicted_quality", "predicted_cost_usd")
OPPONENT: Final = "old_probs"
"""Columns of a scored log: one row a request; ``action`` is a position in its K candidates, lists
have K entries; ``quality`` and ``cost_usd`` are null where not known. Without ``old_probs`` the
opponent is today: what the log's own policy did, which needs no propensity."""


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """A chunk of a scored log.

    Parameters
    ----------
    quality, cost_usd : what the log shows of n requests
    unit : int array, shape (n,), bucket of every row's group
    probs : action probabilities of ``new`` and ``old``, shape (n, K) each
    is_today : whether ``old`` is what the log's own policy did
    predicted_quality, predicted_cost : float arrays, shape (n, K)
    """

    quality: LoggedFeedback
    cost_usd: LoggedFeedback
    unit: IntArray
    probs: dict[str, FloatArray]
    predicted_quality: FloatArray
    predicted_cost: FloatArray
    is_today: bool = False


def read_scored(
    paths: Path | Sequence[Path], *, chunk: int = CHUNK, n_units: int = N_UNITS
) -> Iterator[ScoredRows]:
    """Chunks of a scored log: a Parquet file, several, or a folder of partitions.

    Raises
    ------
    SchemaError
        If a column is missing.
    """
    data = _dataset(paths)
    if missing := [name for name in (*SCALARS, *LISTS) if name not in data.schema.names]:
        raise SchemaError(
            f"a scored log needs the columns {', '.join((*SCALARS, *LISTS))}; {paths} lacks "
            f"{', '.join(missing)}"
        )
    lists = [name for name in (*LISTS, OPPONENT) if name in data.schema.names]
    batches = data.to_batches(
        columns=[*SCALARS, *lists], batch_size=chunk, batch_readahead=1, fragment_readahead=1
    )
    for batch in batches:
        if batch.num_rows:
            yield _rows(batch, lists, n_units)


def _dataset(paths: Path | Sequence[Path]) -> ds.Dataset:
    named = [paths] if isinstance(paths, Path) else list(paths)
    files = [f for p in named for f in (sorted(p.rglob("*.parquet")) if p.is_dir() else [p])]
    return ds.dataset([str(file) for file in files], format="parquet")


def _rows(batch: pa.RecordBatch, names: Sequence[str], n_units: int) -> ScoredRows:
    values = {name: batch.column(name).to_numpy(zero_copy_only=False) for name in SCALARS}
    n = batch.num_rows
    lists = {
        name: np.asarray(batch.column(name).flatten(), dtype=float).reshape(n, -1) for name in names
    }
    unit = unit_of(values["group_id"], n_units)
    quality = LoggedFeedback(
        action=values["action"].astype(np.int64),
        propensity=values["propensity"].astype(float),
        outcome=values["quality"].astype(float),
        label_prob=values["label_prob"].astype(float),
        group_id=unit,
    )
    known = np.isfinite(values["cost_usd"].astype(float))
    cost = replace(quality, outcome=values["cost_usd"].astype(float), label_prob=np.ones(n))
    if not known.all():
        raise DataError(
            f"{int((~known).sum())} rows of a chunk have no cost_usd; fill it or drop them"
        )
    is_today = OPPONENT not in lists
    if is_today:
        lists[OPPONENT] = today_probs(quality, lists["new_probs"].shape[1])
    return ScoredRows(
        quality=quality,
        cost_usd=cost,
        unit=unit,
        probs={player: lists[f"{player}_probs"] for player in PLAYERS},
        is_today=is_today,
        predicted_quality=lists["predicted_quality"],
        predicted_cost=lists["predicted_cost_usd"],
    )


@dataclass(slots=True)
class StreamedComparison:
    """What a log says of a challenger and its opponent, chunk by chunk.

    Parameters
    ----------
    n_rows : rows that will come; ``DR`` clips its weights at half the root of it
    n_units : buckets that groups are hashed into
    labelled_rows : rows with a label so far
    """

    n_rows: int
    n_units: int = N_UNITS
    labelled_rows: int = 0
    _sums: UnitSums = field(init=False)
    _squares: dict[str, float] = field(init=False)
    _largest: dict[str, float] = field(init=False)
    _support: OverlapSums = field(init=False, default_factory=OverlapSums)

    def __post_init__(self) -> None:
        parts = ("dm", "ipw", "weight", "correction", "clipped", "clipped_correction", "cost")
        names = [f"{player}_{part}" for player in PLAYERS for part in parts]
        self._sums = UnitSums(names, self.n_units)
        self._squares = dict.fromkeys(PLAYERS, 0.0)
        self._largest = dict.fromkeys(PLAYERS, 0.0)

    @property
    def n(self) -> int:
        """Rows so far."""
        return self._sums.n

    def add(self, rows: ScoredRows) -> None:
        """Take in a chunk."""
        columns: dict[str, FloatArray] = {}
        clip = np.sqrt(self.n_rows) / 2.0
        for player, probs in rows.probs.items():
            quality, cost_usd = rows.quality, rows.cost_usd
            if rows.is_today and player == "old":
                quality, cost_usd = on_policy(quality), on_policy(cost_usd)
            direct = direct_method(quality, probs, rows.predicted_quality)
            full = doubly_robust(quality, probs, rows.predicted_quality)
            clipped = doubly_robust(quality, probs, rows.predicted_quality, clip=clip)
            cost = doubly_robust(cost_usd, probs, rows.predicted_cost)
            weights = full.weights
            parts = {
                "dm": direct.numerator,
                "ipw": weights * rows.quality.filled,
                "weight": weights,
                "correction": full.numerator - direct.numerator,
                "clipped": clipped.weights,
                "clipped_correction": clipped.numerator - direct.numerator,
                "cost": cost.numerator,
            }
            columns |= {f"{player}_{name}": values for name, values in parts.items()}
            self._squares[player] += float(weights @ weights)
            self._largest[player] = max(self._largest[player], float(weights.max(initial=0.0)))
        self._sums.add(columns, rows.unit)
        self.labelled_rows += int(rows.quality.labelled.sum())
        self._support.add(rows.quality, rows.probs["new"])

    def overlap(self, candidates: Sequence[str]) -> Overlap:
        """How well the log supports the challenger, by candidate, over all queries together.

        Parameters
        ----------
        candidates : K names
        """
        return self._support.overlap(
            candidates,
            n=self.n,
            effective_sample_size=self.effective_sample_size(),
            largest_weight=self.largest_weight(),
        )

    def merge(self, other: StreamedComparison) -> None:
        """Take in what another process has read."""
        self._sums.merge(other._sums)
        for player in PLAYERS:
            self._squares[player] += other._squares[player]
            self._largest[player] = max(self._largest[player], other._largest[player])
        self.labelled_rows += other.labelled_rows
        self._support.merge(other._support)

    def values(self, player: str = "new") -> dict[str, RowValues]:
        """Estimators of one policy's quality, as :func:`assess` has them; their rows are units.

        ``DR-full``, whose interval is ``DR``'s, normalises its correction by the mean weight.
        """
        sums, count = self._sums, self._sums.count
        unit, weight = np.arange(len(count)), sums[f"{player}_weight"]

        def rows(top: FloatArray, bottom: FloatArray = count) -> RowValues:
            return RowValues(top, bottom, weight, unit)

        direct, outcome = sums[f"{player}_dm"], sums[f"{player}_ipw"]
        full = rows(direct + self._normalised(f"{player}_correction", f"{player}_weight"))
        made = {"DM": rows(direct), "IPW": rows(outcome), "DR-full": full}
        if weight.any():
            made["SNIPS"] = rows(outcome, weight)
        correction = self._normalised(f"{player}_clipped_correction", f"{player}_clipped")
        factor = kept_share(rows(correction).influence, unit)
        made["DR"] = replace(full, numerator=direct + factor * correction, interval_of=full)
        return made

    def _normalised(self, correction: str, weight: str) -> FloatArray:
        """A correction over the mean weight, with the noise of that, summed over units."""
        sums, count = self._sums, self._sums.count
        scale = sums.total(weight) / self.n
        if not scale > 0.0:
            return sums[correction]
        values = sums[correction] / scale
        mean = values.sum() / self.n
        normal: FloatArray = values + mean * (count - sums[weight] / scale)
        return normal

    def estimates(
        self, player: str = "new", *, n_resamples: int = 1_000, random_state: int = 0
    ) -> dict[str, Estimate]:
        """Values with studentised bootstrap intervals over units."""
        found = {
            name: rows.bootstrap(n_resamples=n_resamples, random_state=random_state)
            for name, rows in self.values(player).items()
        }
        return {name: replace(one, n=self.n) for name, one in found.items()}

    def cost_usd(
        self, player: str = "new", *, n_resamples: int = 1_000, random_state: int = 0
    ) -> Estimate:
        """Doubly robust mean cost of one policy, with its interval over units."""
        sums, count = self._sums, self._sums.count
        rows = RowValues(
            sums[f"{player}_cost"], count, sums[f"{player}_weight"], np.arange(len(count))
        )
        found = rows.bootstrap(n_resamples=n_resamples, random_state=random_state)
        return replace(found, n=self.n)

    def effective_sample_size(self, player: str = "new") -> float:
        """Kish's, of the weights of all rows."""
        square = self._squares[player]
        return self._sums.total(f"{player}_weight") ** 2 / square if square > 0.0 else 0.0

    def largest_weight(self, player: str = "new") -> float:
        """Of a single row."""
        return self._largest[player]

    def differences(self) -> tuple[FloatArray, FloatArray]:
        """Quality and cost, challenger minus opponent: values of units, as the gate takes them."""
        signs = dict(zip(PLAYERS, (1.0, -1.0), strict=True))
        quality, cost = (
            self._sums.rows({f"{p}_{part}": sign for p, sign in signs.items() for part in parts})
            for parts in (("dm", "correction"), ("cost",))
        )
        return quality, cost

    def judge(self, gate: Gate, *, look: int = 1) -> GateReport:
        """The gate's verdict on the challenger."""
        quality, cost = self.differences()
        return gate.judge(quality, cost, labelled_rows=self.labelled_rows, look=look)

    def difference(self) -> tuple[float, float]:
        """Mean difference of quality and its standard error."""
        return cluster_mean(self.differences()[0])[:2]


def compare_scored(
    paths: Path | Sequence[Path], *, chunk: int = CHUNK, n_units: int = N_UNITS
) -> StreamedComparison:
    """Read a scored log to its end: a Parquet file, several, or a folder of partitions.

    Raises
    ------
    DataError
        If it has no row.
    """
    found = StreamedComparison(_dataset(paths).count_rows(), n_units)
    for rows in read_scored(paths, chunk=chunk, n_units=n_units):
        found.add(rows)
    if not found.n:
        raise DataError("the scored log has no row")
    return found
