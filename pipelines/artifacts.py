"""What stages write: names of their files, and folders that are replaced as a whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from router_ml.data.outcomes import TrainingTable, read_candidates, read_outcomes, to_matrices
from router_ml.errors import ConfigError, SchemaError
from router_ml.types.candidates import CandidateTable

OUTCOMES: Final = "outcomes.parquet"
REPORT: Final = "training.json"
BUNDLE: Final = "bundle"
PARITY: Final = "parity.json"
EVALUATION: Final = "evaluation.json"
CERTIFICATE: Final = "certificate.json"


def check_own(folder: Path, marker: str) -> None:
    """ConfigError where a folder is in use and does not hold what this stage writes.

    Parameters
    ----------
    marker : file or folder that every output of the stage holds
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ConfigError(f"output must be a folder, got the file {folder}")
    if any(folder.iterdir()) and not (folder / marker).exists():
        raise ConfigError(
            f"{folder} is not empty and holds no {marker}, so it is not from an earlier run and is "
            "left alone; name a new folder as output"
        )


@contextmanager
def replaced(folder: Path, marker: str) -> Iterator[Path]:
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
    joined: Path, split: str | None = None, names: Sequence[str] | None = None
) -> tuple[TrainingTable, CandidateTable]:
    """Outcomes of a join as arrays, of one split or of all, and its candidates (or those named).

    Raises
    ------
    SchemaError
        If ``joined`` is no folder of a join.
    """
    if not (joined / OUTCOMES).is_file():
        raise SchemaError(
            f"expected {OUTCOMES} in {joined}, found none; run `router-ml join` first"
        )
    candidates = read_candidates(joined, names)
    table = to_matrices(read_outcomes(joined), candidates.names)
    if split is not None:
        table = table.take(np.array(table.split) == split)
    return table, candidates


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
        return self.export / BUNDLE

    @property
    def evaluation(self) -> Path:
        """What ``evaluate`` writes."""
        return self.root / "evaluation"

    @property
    def certified(self) -> Path:
        """What ``certify`` writes."""
        return self.root / "certified"
