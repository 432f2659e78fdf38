"""A trained router to a bundle, with the proof that both agree."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np

from pipelines.artifacts import check_own
from pipelines.config import ExportConfig
from pipelines.console import progress
from pipelines.stages.train import TrainedRouter, load_trained, read_training_table
from router_ml.bundle.files import MANIFEST, BundleContents, read_bundle, write_bundle
from router_ml.bundle.manifest import FeatureSpec
from router_ml.cascade.export import check_answer_parity, export_answer
from router_ml.cascade.runtime.cascade import ANSWER, cascade_files, policy_from_dict
from router_ml.cascade.training import logged_answers
from router_ml.export.parity import ParityReport, check_parity, odd_queries
from router_ml.export.router import export_router
from router_ml.features.featurizer import Featurizer
from router_ml.features.lexical import NAMES
from router_ml.features.query import Query
from router_ml.runtime.runtime import Runtime

PARITY: Final = "parity.json"
BUNDLE: Final = "bundle"
_TRAINING_KEYS: Final = (
    "rows",
    "queries",
    "labelled_cells",
    "changes",
    "fingerprint",
    "training_id",
)


def export_bundle(folder: Path, trained: TrainedRouter) -> Path:
    """Write the bundle folder; see :mod:`router_ml.bundle`."""
    encoder = trained.encoder
    report = trained.report
    write_bundle(
        folder,
        BundleContents(
            graph=export_router(trained.estimator, encoder, n_candidates=len(trained.candidates)),
            tokenizer_json=encoder.tokenizer.to_json(),
            features=FeatureSpec(
                lexical=NAMES,
                layout=asdict(encoder.tokenizer.layout),
                encoder={"kind": encoder.kind, "dims": encoder.dims, "digest": encoder.digest},
            ),
            policy=trained.policy,
            candidates=trained.candidates,
            calibration=report.get("selection", {}),
            training={key: report[key] for key in _TRAINING_KEYS if key in report},
            reference=report.get("reference", {}),
            extras=_cascade(trained),
        ),
    )
    return folder


def _cascade(trained: TrainedRouter) -> dict[str, bytes]:
    if trained.scorer is None:
        return {}
    policy = policy_from_dict(trained.report["cascade"]["policy"])
    return cascade_files(policy, export_answer(trained.scorer))


def verify(bundle: Path, trained: TrainedRouter, queries: Sequence[Query]) -> ParityReport:
    """Parity on given queries and on odd ones; ParityError if graph and Python disagree."""
    return check_parity(
        trained.estimator,
        Featurizer(encoder=trained.encoder),
        Runtime.from_folder(bundle),
        [*queries, *odd_queries()],
    )


def run(config: ExportConfig) -> Path:
    """Export ``config.trained`` to ``config.output``/bundle, replacing it; returns that folder."""
    trained = load_trained(config.trained)
    bundle = config.output / BUNDLE
    check_own(bundle, MANIFEST)
    shutil.rmtree(bundle, ignore_errors=True)
    with progress("exporting", None):
        export_bundle(bundle, trained)
    with progress("checking parity", None):
        table, _ = read_training_table(config.joined)
        rng = np.random.default_rng(0)
        distinct, first = np.unique(np.array(table.query_id), return_index=True)
        some = rng.permutation(len(distinct))[: config.parity_queries]
        report = verify(bundle, trained, [table.queries[i] for i in first[some]])
        proof = {"bundle_id": read_bundle(bundle).manifest.bundle_id, **asdict(report)}
        if trained.scorer is not None:
            queries = tuple(table.queries[i] for i in first)
            answers = logged_answers(table, queries, np.sort(some)).table
            query, candidate = np.nonzero(answers.known)
            proof["answer_max_error"] = check_answer_parity(
                trained.scorer,
                read_bundle(bundle).files[ANSWER],
                answers,
                query,
                candidate,
                answers.known[query],
            )
    (config.output / PARITY).write_text(json.dumps(proof, indent=1), encoding="utf-8")
    return bundle
