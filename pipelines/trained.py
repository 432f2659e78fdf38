"""The folder that ``train`` writes: estimators, encoder, policy and report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipelines.artifacts import TrainedFolder
from pipelines.encoders import load_encoder
from router_ml.bundle.files import candidates_from
from router_ml.cascade.scorer import AnswerScorer
from router_ml.errors import SchemaError
from router_ml.estimators.base import State
from router_ml.estimators.registry import load_all
from router_ml.estimators.router import RouterEstimator
from router_ml.export.bundle import FittedRouter

_TRAINING_KEYS: Final = (
    "rows",
    "queries",
    "labelled_cells",
    "binary_labels",
    "changes",
    "fingerprint",
    "training_id",
    "budgets",
)


@dataclass(frozen=True, slots=True)
class TrainedRouter:
    """A fitted router with its report.

    ``scorer`` is there if a cascade was learned; its policy is ``report["cascade"]["policy"]``.
    """

    router: FittedRouter
    report: Mapping[str, Any]
    scorer: AnswerScorer | None = None


def load_trained(folder: Path) -> TrainedRouter:
    """Read what ``train`` wrote.

    Raises
    ------
    SchemaError
        If it is not there.
    """
    load_all()
    written = TrainedFolder(folder)
    if not written.report.is_file():
        raise SchemaError(
            f"expected {written.report.name} in {folder}, found none; run `router-ml train` first"
        )
    report = json.loads(written.report.read_text(encoding="utf-8"))
    return TrainedRouter(
        router=FittedRouter(
            estimator=RouterEstimator.from_state(State.load(written.router)),
            encoder=load_encoder(report["encoder"]["kind"], written.encoder),
            candidates=candidates_from(tuple(report["candidates"]), report["prices"]),
            policy=report["policy"],
            selection=report.get("selection", {}),
            training={key: report[key] for key in _TRAINING_KEYS if key in report},
            reference=report.get("reference", {}),
        ),
        report=report,
        scorer=(
            AnswerScorer.from_state(State.load(written.answer)) if "cascade" in report else None
        ),
    )
