"""Bundle to predictions to decision: the one scoring path.

The service, ``evaluate``, the MLflow flavour and every plug-in call this class; there is no other
way from a bundle to a number.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from router_ml.bundle.files import GRAPH, TOKENIZER, Bundle, candidates_from, read_bundle
from router_ml.errors import BundleError, ScorerUnavailableError
from router_ml.features.lexical import NAMES, lexical_features
from router_ml.features.query import Query
from router_ml.features.tokenizer import QueryTokenizer
from router_ml.policies.base import Policy
from router_ml.policies.cost_aware import CostAwarePolicy
from router_ml.policies.quality_floor import QualityFloorPolicy
from router_ml.policies.registry import from_dict
from router_ml.runtime.constraints import Constraints
from router_ml.types import (
    CandidateTable,
    Decision,
    FloatArray,
    IntArray,
    Predictions,
    RankedCandidate,
    Tokens,
)

OUTPUTS: Final = ("quality", "input_tokens", "output_tokens", "latency_ms")
NO_CONSTRAINTS: Final = Constraints()
_BATCH: Final = 256


class Runtime:
    """An immutable scorer; safe to call from several threads.

    Parameters
    ----------
    bundle : as :func:`router_ml.bundle.files.read_bundle` verified it
    policy : replaces the bundle's policy, as ``Policy.to_dict()`` gives it
    prices : replaces the bundle's prices, as ``prices.json`` holds them
    threads : of ONNX Runtime; one is fastest for one request
    random_state : seeds the draws of policies that randomise; ``None`` = fresh entropy

    Raises
    ------
    BundleError
        If the graph's inputs or outputs are not those of the format.
    ConfigError
        If an override is wrong.
    """

    def __init__(
        self,
        *,
        bundle: Bundle,
        policy: Mapping[str, Any] | None = None,
        prices: Mapping[str, Mapping[str, float]] | None = None,
        threads: int = 1,
        random_state: int | None = None,
    ) -> None:
        manifest = bundle.manifest
        if manifest.features.lexical != NAMES:
            raise BundleError(
                "the bundle's lexical columns are not those of this release; "
                f"expected {NAMES}, got {manifest.features.lexical}: export it again"
            )
        self.manifest = manifest
        self.candidates: CandidateTable = (
            bundle.candidates if prices is None else candidates_from(manifest.candidates, prices)
        )
        self.policy: Policy = from_dict(bundle.policy if policy is None else policy)
        self.override_digest = _digest(policy, prices)
        self._positions = {name: k for k, name in enumerate(self.candidates.names)}
        self._tokenizer = QueryTokenizer(
            tokenizer_json=bundle.files[TOKENIZER].decode(), layout=manifest.features.layout
        )
        self._session = _session(bundle.files[GRAPH], threads)
        # An int8 transformer scales by the whole batch's activations: one query at a time there.
        self._batch = 1 if manifest.features.encoder.get("kind") == "transformer" else _BATCH
        self._outputs = list(OUTPUTS)
        if "quality_std" in {out.name for out in self._session.get_outputs()}:
            self._outputs.append("quality_std")
        self._rng = np.random.default_rng(random_state)

    @classmethod
    def from_folder(cls, folder: Path, **options: Any) -> Runtime:
        """Verify and load a bundle folder; ``options`` as for the class."""
        return cls(bundle=read_bundle(folder), **options)

    def predict(
        self, queries: Sequence[Query], *, progress: Callable[[int], None] | None = None
    ) -> Predictions:
        """Score many queries, in batches of like length; arrays of shape (n_samples, K)."""
        lexical = np.zeros((len(queries), len(NAMES)), dtype=np.float32)
        for i, query in enumerate(queries):
            lexical[i] = lexical_features(query)
        tokens = Tokens.from_rows(self._tokenizer.rows(queries))
        out = [np.zeros((len(queries), len(self.candidates))) for _ in self._outputs]
        order = np.argsort(tokens.lengths, kind="stable")
        for start in range(0, len(order), self._batch):
            rows: IntArray = order[start : start + self._batch]
            ids = tokens.take(rows).padded(self._tokenizer.layout.pad_id)
            for target, values in zip(out, self._run(ids, lexical[rows]), strict=True):
                target[rows] = values
            if progress is not None:
                progress(len(rows))
        return self._predictions(out)

    def predict_one(self, query: Query) -> Predictions:
        """Score one query; arrays of shape (1, K)."""
        ids = np.array([self._tokenizer.row(query)], dtype=np.int64)
        return self._predictions(self._run(ids, lexical_features(query)[None]))

    def decide(self, query: Query, constraints: Constraints = NO_CONSTRAINTS) -> Decision:
        """Choose a candidate for one query.

        Raises
        ------
        InvalidRequestError
            If the constraints are contradictory or leave nobody.
        ScorerUnavailableError
            If the graph fails.
        """
        return self.choose(self.predict_one(query), constraints)

    def choose(
        self, predictions: Predictions, constraints: Constraints = NO_CONSTRAINTS
    ) -> Decision:
        """Apply constraints and policy to one query's predictions, shape (1, K)."""
        table = self.candidates
        if constraints.max_output_tokens is not None:
            capped = np.minimum(predictions.output_tokens, constraints.max_output_tokens)
            predictions = replace(predictions, output_tokens=capped)
        cost_usd = table.cost_usd(predictions.input_tokens, predictions.output_tokens)
        eligible = constraints.eligible(self._positions, table, predictions, cost_usd)
        policy, reason = self._policy_for(constraints)
        row_probs, row_ranking = policy.decide(predictions, table, cost_usd, eligible)
        probs, ranking = row_probs[0].tolist(), row_ranking[0].tolist()
        chosen = ranking[0]
        if probs[chosen] != 1.0:
            chosen = int(self._rng.choice(len(probs), p=row_probs[0]))
        n_eligible = int(np.count_nonzero(eligible))
        if n_eligible < len(table):
            reason = f"{reason}; {len(table) - n_eligible} of {len(table)} ruled out"
        return Decision(
            candidate=table.names[chosen],
            ranking=_lines(table.names, ranking[:n_eligible], predictions, cost_usd, policy),
            action_probs=tuple(probs),
            propensity=probs[chosen],
            policy=policy.name,
            reason=reason,
        )

    def _policy_for(self, constraints: Constraints) -> tuple[Policy, str]:
        if constraints.cost_weight is not None:
            weight = constraints.cost_weight
            return CostAwarePolicy(cost_weight=weight), f"highest utility at cost_weight {weight:g}"
        if constraints.min_quality is not None:
            floor = constraints.min_quality
            return QualityFloorPolicy(min_quality=floor), f"cheapest that reaches quality {floor:g}"
        return self.policy, self.policy.reason

    def _run(self, ids: IntArray, lexical: FloatArray) -> list[FloatArray]:
        try:
            values: list[FloatArray] = self._session.run(
                self._outputs, {"input_ids": ids, "lexical": lexical}
            )
        except Exception as error:  # ONNX Runtime raises many classes without a common base
            raise ScorerUnavailableError(f"the router's graph failed: {error}") from error
        return values

    def _predictions(self, values: Sequence[FloatArray]) -> Predictions:
        quality, input_tokens, output_tokens, latency_ms, *std = values
        return Predictions(quality, input_tokens, output_tokens, latency_ms, *std)


def _lines(
    names: Sequence[str],
    ranking: Sequence[int],
    predictions: Predictions,
    cost_usd: FloatArray,
    policy: Policy,
) -> tuple[RankedCandidate, ...]:
    """The ranking in words; Python numbers, because numpy's cost more than the arithmetic."""
    cost_weight, latency_weight = policy.weights
    utility = predictions.quality - cost_weight * cost_usd - latency_weight * predictions.latency_ms
    rows = (
        names,
        *(a[0].tolist() for a in (predictions.quality, cost_usd, predictions.latency_ms, utility)),
    )
    lines = [RankedCandidate(*row) for row in zip(*rows, strict=True)]
    return tuple([lines[k] for k in ranking])


def _session(graph: bytes, threads: int) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises many classes without a common base
        raise BundleError(f"ONNX Runtime does not accept {GRAPH}: {error}") from error
    inputs = {value.name for value in session.get_inputs()}
    lacking = set(OUTPUTS) - {value.name for value in session.get_outputs()}
    if not inputs <= {"input_ids", "lexical"} or lacking:
        raise BundleError(
            f"{GRAPH} must take input_ids and lexical and give {OUTPUTS}; it takes {inputs} and "
            f"lacks {lacking or 'nothing'}"
        )
    return session


def _digest(policy: Any, prices: Any) -> str:
    """Hash of the overrides, ``""`` without any; it stands in every decision."""
    if policy is None and prices is None:
        return ""
    text = json.dumps([policy, prices], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
