"""What stages write: names of their files, and folders that are replaced as a whole."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from router_ml.errors import ConfigError, SchemaError
from router_ml.types.candidates import CandidateTable

if TYPE_CHECKING:
    from router_ml.data.outcomes import TrainingTable


def check_own(folder: Path, marker: Path) -> None:
    """ConfigError where a folder is in use and does not hold what this stage writes.

    Parameters
    ----------
    marker : file or folder inside that every output of the stage holds
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ConfigError(f"output must be a folder, got the file {folder}")
    if any(folder.iterdir()) and not marker.exists():
        raise ConfigError(
            f"{folder} is not empty and holds no {marker.name}, so it is not from an earlier run "
            "and is left alone; name a new folder as output"
        )


@contextmanager
def replaced(folder: Path, marker: Path) -> Iterator[Path]:
    """Write beside ``folder``, and put it in its place at the end; a failure leaves all as it was.

    Raises
    ------
    ConfigError
        See :func:`check_own`.
    """
    check_own(folder, marker)
    partial = folder.parent / f".{folder.resolve().name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def read_training_table(
    joined: Path, split: str | None = None, names: Sequence[str] | None = None, most: int = 0
) -> tuple[TrainingTable, CandidateTable]:
    """Outcomes of a join as arrays, of one split or of all, and its candidates (or those named).

    Of a split with more than ``most`` requests (0: any number) a sample of so many is read.

    Raises
    ------
    SchemaError
        If ``joined`` is no folder of a join.
    """
    outcomes = JoinedFolder(joined).outcomes
    if not outcomes.is_file():
        raise SchemaError(
            f"expected {outcomes.name} in {joined}, found none; run `router-ml join` first"
        )
    # pandas is not where a gateway runs.
    from pipelines.sampling import sample_outcomes
    from router_ml.data.outcomes import (
        outcomes_frame,
        read_candidates,
        read_outcomes,
        to_matrices,
    )

    candidates = read_candidates(joined, names)
    if split is not None and most:
        with tempfile.TemporaryDirectory(prefix="sample-", dir=joined) as work:
            drawn = sample_outcomes(outcomes, split, most, Path(work))
        if drawn is not None:
            return to_matrices(outcomes_frame(drawn[0]), candidates.names), candidates
    table = to_matrices(read_outcomes(joined), candidates.names)
    if split is not None:
        table = table.take(np.array(table.split) == split)
    return table, candidates


@dataclass(frozen=True, slots=True)
class JoinedFolder:
    """What ``join`` writes."""

    root: Path

    @property
    def outcomes(self) -> Path:
        """One row a request."""
        return self.root / "outcomes.parquet"

    @property
    def preferences(self) -> Path:
        """One row a comparison of two candidates; not there without any."""
        return self.root / "preferences.parquet"

    @property
    def prices(self) -> Path:
        """Price windows."""
        return self.root / "prices.parquet"

    @property
    def rejects(self) -> Path:
        """Rows that were not used, with a reason each."""
        return self.root / "rejects.parquet"

    @property
    def report(self) -> Path:
        """Accounts of every source."""
        return self.root / "report.json"

    def settled_until(self) -> datetime | None:
        """Until when requests are settled (naive UTC): of later ones no label counts.

        ``None`` where all labels count.
        """
        if not self.report.is_file():  # outcomes that were made otherwise
            return None
        rows = json.loads(self.report.read_text(encoding="utf-8")).get("settling") or [{}]
        cutoff = rows[0].get("cutoff")
        return None if cutoff is None else datetime.fromisoformat(cutoff).replace(tzinfo=None)

    @property
    def summary(self) -> Path:
        """The report for people."""
        return self.root / "report.md"

    @property
    def config(self) -> Path:
        """The config in force."""
        return self.root / "config.yaml"


@dataclass(frozen=True, slots=True)
class TrainedFolder:
    """What ``train`` writes."""

    root: Path

    @property
    def router(self) -> Path:
        """State of the estimators."""
        return self.root / "router"

    @property
    def encoder(self) -> Path:
        """The encoder."""
        return self.root / "encoder"

    @property
    def answer(self) -> Path:
        """State of the answer scorer, where a cascade was learned."""
        return self.root / "answer"

    @property
    def held_out(self) -> Path:
        """Held-out predictions of the training queries."""
        return self.root / "held_out.parquet"

    @property
    def report(self) -> Path:
        """What was learned from what, the policy, candidates and prices."""
        return self.root / "training.json"

    @property
    def config(self) -> Path:
        """The config in force."""
        return self.root / "train.yaml"


@dataclass(frozen=True, slots=True)
class ExportFolder:
    """What ``export`` writes, and ``certify`` beside its certificate."""

    root: Path

    @property
    def bundle(self) -> Path:
        """The bundle."""
        return self.root / "bundle"

    @property
    def parity(self) -> Path:
        """The proof that it agrees with its estimators."""
        return self.root / "parity.json"

    @property
    def certificate(self) -> Path:
        """What was certified of its quality floor."""
        return self.root / "certificate.json"


@dataclass(frozen=True, slots=True)
class EvaluationFolder:
    """What ``evaluate`` writes."""

    root: Path

    @property
    def report(self) -> Path:
        """Every number."""
        return self.root / "evaluation.json"

    @property
    def rows(self) -> Path:
        """Quality and cost of every row, on a matrix."""
        return self.root / "rows.parquet"

    @property
    def curve(self) -> Path:
        """Quality against cost."""
        return self.root / "cost_quality.png"

    @property
    def reliability(self) -> Path:
        """Observed quality against predicted."""
        return self.root / "reliability.png"


@dataclass(frozen=True, slots=True)
class SearchFolder:
    """What ``search`` writes."""

    root: Path

    @property
    def report(self) -> Path:
        """What was found, and how much of it is luck."""
        return self.root / "search.json"

    @property
    def quality(self) -> Path:
        """The best estimator, as ``train --config`` takes it."""
        return self.root / "quality.yaml"

    @property
    def trials(self) -> Path:
        """Every trial, in Optuna's SQLite storage."""
        return self.root / "trials.db"

    @property
    def config(self) -> Path:
        """The config in force."""
        return self.root / "search.yaml"


@dataclass(frozen=True, slots=True)
class RunFolders:
    """Where stages find each other's output below one folder.

    Parameters
    ----------
    root : such as ``runs``
    """

    root: Path

    @property
    def joined(self) -> Path:
        """What ``join`` writes: outcomes, rejects, prices and a report."""
        return self.root / "joined"

    @property
    def trained(self) -> Path:
        """What ``train`` writes."""
        return self.root / "trained"

    @property
    def export(self) -> Path:
        """What ``export`` writes: the bundle and its proof of parity."""
        return self.root / "export"

    @property
    def bundle(self) -> Path:
        """The bundle that ``export`` writes."""
        return ExportFolder(self.export).bundle

    @property
    def evaluation(self) -> Path:
        """What ``evaluate`` writes."""
        return self.root / "evaluation"

    @property
    def routes(self) -> Path:
        """What ``fit-routes`` writes."""
        return self.root / "routes"

    @property
    def search(self) -> Path:
        """What ``search`` writes."""
        return self.root / "search"

    @property
    def certified(self) -> Path:
        """What ``certify`` writes."""
        return self.root / "certified"

    @property
    def onboard(self) -> Path:
        """What ``onboard`` writes."""
        return self.root / "onboard"

    @property
    def monitor(self) -> Path:
        """State, alarms, metrics and page of ``monitor``."""
        return self.root / "monitor"

    @property
    def labels(self) -> Path:
        """What ``label`` proposes, asks and reads."""
        return self.root / "labels"
