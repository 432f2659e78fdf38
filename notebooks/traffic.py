"""The log that the notebooks look at; put your own ``rm.read_log(...)`` in its place.

Real traffic where ``ROUTER_ML_DATA`` names it, else a synthetic world whose truth is known; with
``ROUTER_NOTEBOOK_SMALL`` the sample of a few hundred requests. Everything is written below
``ROUTER_NOTEBOOK_OUTPUT``, by default ``runs/notebooks``.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import router_ml as rm
from router_ml.data.synthetic_log import write_world

ROOT = Path(__file__).resolve().parents[1]
SMALL = bool(os.environ.get("ROUTER_NOTEBOOK_SMALL"))
OUTPUT = Path(os.environ.get("ROUTER_NOTEBOOK_OUTPUT") or ROOT / "runs" / "notebooks")
os.environ.setdefault("ROUTER_ML_CACHE", str(ROOT / ".cache"))
os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{OUTPUT / 'mlflow.db'}")
OUTPUT.mkdir(parents=True, exist_ok=True)


def open_log(*, matrix: bool = True) -> rm.Log:
    """The log, with the outcome of every candidate to judge by, if wanted."""
    if SMALL:
        return rm.sample_log(matrix=matrix)
    folder = OUTPUT / "world"
    if real := os.environ.get("ROUTER_ML_DATA"):
        folder = Path(real) / "mix"
    elif not (folder / "prices.json").is_file():
        write_world(folder, n_queries=1_500, n_requests=6_000, n_candidates=5)
    return rm.read_log(
        folder / "requests.jsonl.gz",
        labels=folder / "labels.csv",
        prices=folder / "prices.json",
        matrix=folder / "matrix.parquet" if matrix else None,
    )


def export_files() -> list[Path]:
    """Of an export that nobody prepared: requests, labels, prices."""
    names = ["export.csv", "thumbs.csv", "prices.csv"]
    if (real := os.environ.get("ROUTER_ML_DATA")) and not SMALL:
        return [Path(real) / "foreign" / name for name in [*names[:2], "scores.csv", names[2]]]
    return [rm.sample(name) for name in names]


def fresh_registry() -> None:
    """Forget what these notebooks registered; a registry elsewhere is left alone."""
    if os.environ["MLFLOW_TRACKING_URI"] == f"sqlite:///{OUTPUT / 'mlflow.db'}":
        for path in OUTPUT.glob("mlflow.db*"):
            path.unlink()
        shutil.rmtree(OUTPUT / "mlartifacts", ignore_errors=True)
