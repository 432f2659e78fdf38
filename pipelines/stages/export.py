"""A trained router to a bundle, with the proof that both agree."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.artifacts import ExportFolder, check_own, read_training_table
from pipelines.config import ExportConfig
from pipelines.console import progress
from pipelines.trained import load_trained
from router_ml.bundle.files import (
    GRAPH,
    MANIFEST,
    POLICY,
    PRICES,
    TOKENIZER,
    BundleContents,
    read_bundle,
    write_bundle,
)
from router_ml.cascade.export import check_answer_parity, export_answer
from router_ml.cascade.runtime.files import ANSWER, CascadeFiles, policy_from_dict
from router_ml.cascade.training import logged_answers
from router_ml.data.groups import distinct_rows
from router_ml.export.bundle import export_bundle, verify
from router_ml.types.candidates import CandidateTable


def run(config: ExportConfig) -> Path:
    """Export ``config.trained`` to ``config.output``/bundle, replacing it; returns that folder."""
    trained = load_trained(config.trained)
    written = ExportFolder(config.output)
    bundle = written.bundle
    check_own(bundle, bundle / MANIFEST)
    shutil.rmtree(bundle, ignore_errors=True)
    with progress("exporting", None):
        extras = {}
        if trained.scorer is not None:
            policy = policy_from_dict(trained.report["cascade"]["policy"])
            extras = CascadeFiles(
                policy=policy, layout=trained.scorer.layout_, graph=export_answer(trained.scorer)
            ).to_files()
        export_bundle(bundle, trained.router, extras=extras)
    with progress("checking parity", None):
        table, _ = read_training_table(config.joined)
        rng = np.random.default_rng(0)
        first, _ = distinct_rows(table.query_id)
        some = rng.permutation(len(first))[: config.parity_queries]
        report = verify(bundle, trained.router, [table.queries[i] for i in first[some]])
        proof = {"bundle_id": read_bundle(bundle).manifest.bundle_id, **asdict(report)}
        if trained.scorer is not None:
            queries = tuple(table.queries[i] for i in first)
            answers = logged_answers(
                table, queries, np.sort(some), layout=trained.scorer.layout_
            ).table
            query, candidate = np.nonzero(answers.known)
            proof["answer_max_error"] = check_answer_parity(
                trained.scorer,
                read_bundle(bundle).files[ANSWER],
                answers,
                query,
                candidate,
                answers.known[query],
            )
    written.parity.write_text(json.dumps(proof, indent=1), encoding="utf-8")
    return bundle


def rewrite(
    bundle: Path, written: ExportFolder, policy: Mapping[str, Any], candidates: CandidateTable
) -> Path:
    """The same bundle with another policy or other prices; returns the folder of the new one.

    The graph is the same, so a proof of parity beside the bundle holds for the new one, too.

    Parameters
    ----------
    candidates : the bundle's own, at any price
    """
    old = read_bundle(bundle)
    manifest = old.manifest
    own = {GRAPH, TOKENIZER, POLICY, PRICES}
    made = write_bundle(
        written.bundle,
        BundleContents(
            graph=old.files[GRAPH],
            tokenizer_json=old.files[TOKENIZER].decode(),
            features=manifest.features,
            policy=policy,
            candidates=candidates,
            calibration=manifest.calibration,
            training=manifest.training,
            reference=manifest.reference,
            extras={name: data for name, data in old.files.items() if name not in own},
        ),
    )
    proof = ExportFolder(bundle.parent).parity
    if proof.is_file():
        parity = json.loads(proof.read_text(encoding="utf-8"))
        if parity.get("bundle_id") == manifest.bundle_id:
            parity["bundle_id"] = made.bundle_id
            written.parity.write_text(json.dumps(parity, indent=1), encoding="utf-8")
    return written.bundle
