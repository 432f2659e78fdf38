"""A fitted router to a bundle folder, and the proof that both agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from router_ml.bundle.files import BundleContents, add_files, read_bundle, write_bundle
from router_ml.bundle.manifest import FeatureSpec
from router_ml.estimators.router import RouterEstimator
from router_ml.export.parity import ParityReport, check_parity, odd_queries
from router_ml.export.router import export_router
from router_ml.features.encoder import Encoder
from router_ml.features.featurizer import Featurizer
from router_ml.features.lexical import NAMES
from router_ml.features.query import Query
from router_ml.runtime.probes import PROBES, Probes
from router_ml.runtime.probing import PROBE_QUERIES, check_runtime
from router_ml.runtime.runtime import Runtime
from router_ml.types.candidates import CandidateTable


@dataclass(frozen=True, slots=True)
class FittedRouter:
    """All that a bundle is made of.

    Parameters
    ----------
    policy : as ``policy.json`` holds it
    selection : what the quality estimator chose, for the manifest
    training : facts of the training data, for the manifest
    reference : statistics of what training saw, for drift
    """

    estimator: RouterEstimator
    encoder: Encoder
    candidates: CandidateTable
    policy: Mapping[str, Any]
    selection: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    reference: Mapping[str, Any] = field(default_factory=dict)


def export_bundle(
    folder: Path, router: FittedRouter, *, extras: Mapping[str, bytes] | None = None
) -> Path:
    """Write the bundle folder with its probes; see :mod:`router_ml.bundle`.

    Parameters
    ----------
    extras : further files by name, such as those of a cascade

    Raises
    ------
    BundleError
        If the graph gives values that are not finite or not in their range.
    """
    encoder = router.encoder
    write_bundle(
        folder,
        BundleContents(
            graph=export_router(router.estimator, encoder, n_candidates=len(router.candidates)),
            tokenizer_json=encoder.tokenizer.to_json(),
            features=FeatureSpec(
                lexical=NAMES,
                layout=asdict(encoder.tokenizer.layout),
                encoder={"kind": encoder.kind, "dims": encoder.dims, "digest": encoder.digest},
            ),
            policy=router.policy,
            candidates=router.candidates,
            calibration=router.selection,
            training=router.training,
            reference=router.reference,
            extras=extras or {},
        ),
    )
    probes = Probes.of(PROBE_QUERIES, Runtime.from_folder(folder).predict(PROBE_QUERIES))
    add_files(folder, {PROBES: probes.to_json()})
    bundle = read_bundle(folder)
    check_runtime(Runtime(bundle=bundle), bundle)
    return folder


def verify(bundle: Path, router: FittedRouter, queries: Sequence[Query]) -> ParityReport:
    """Parity on given queries and on odd ones; ParityError if graph and Python disagree."""
    return check_parity(
        router.estimator,
        Featurizer(encoder=router.encoder),
        Runtime.from_folder(bundle),
        [*queries, *odd_queries()],
    )
