"""Bundle to predictions: tokenizer, lexical columns and graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from router_ml.bundle.files import GRAPH, TOKENIZER, Bundle
from router_ml.errors import BundleError, SchemaError, ScorerUnavailableError
from router_ml.features.lexical import lexical_columns, lexical_features, lexical_values
from router_ml.features.query import Query
from router_ml.features.tokenizer import QueryTokenizer, TokenLayout
from router_ml.runtime.inputs import INPUTS, graph_inputs
from router_ml.runtime.parts import like_parts_of, parts_of
from router_ml.runtime.session import open_session
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.predictions import EMBEDDING, PARTS, Predictions
from router_ml.types.queries import Tokens

_BATCH: Final = 256


class Scorer:
    """What a bundle predicts; immutable, safe to call from several threads.

    Parameters
    ----------
    bundle : as :func:`router_ml.bundle.files.read_bundle` verified it

    Raises
    ------
    BundleError
        If the graph's inputs or outputs are not those of the format.
    """

    def __init__(self, *, bundle: Bundle) -> None:
        manifest = bundle.manifest
        try:
            self._columns = lexical_columns(manifest.features.lexical)
        except SchemaError as error:
            raise BundleError(
                f"the bundle needs a newer release: {error}; install the one that wrote it"
            ) from error
        self._n_candidates = len(manifest.candidates)
        self._tokenizer = QueryTokenizer(
            tokenizer_json=bundle.files[TOKENIZER].decode(),
            layout=TokenLayout(**manifest.features.layout),
        )
        self._session = _session(bundle.files[GRAPH])
        self._inputs = [value.name for value in self._session.get_inputs()]
        kind = manifest.features.encoder.get("kind")
        # The int8 transformers of earlier bundles scale by the whole batch's activations.
        self._batch = 1 if kind == "transformer" else _BATCH
        self.is_slow = kind in ("transformer", "sentence")
        self._outputs = list(PARTS)
        if "quality_std" in {out.name for out in self._session.get_outputs()}:
            self._outputs.append("quality_std")

    def predict(
        self, queries: Sequence[Query], *, progress: Callable[[int], None] | None = None
    ) -> Predictions:
        """Score many queries, in batches; arrays of shape (n_samples, K)."""
        return self._predictions(self._scored(queries, self._outputs, progress))

    def embeddings(self, queries: Sequence[Query]) -> FloatArray | None:
        """What the graph makes of queries, shape (n_samples, d); ``None`` of an older bundle."""
        if EMBEDDING not in {out.name for out in self._session.get_outputs()}:
            return None
        return self._scored(queries, [EMBEDDING])[0]

    def _scored(
        self,
        queries: Sequence[Query],
        outputs: list[str],
        progress: Callable[[int], None] | None = None,
    ) -> list[FloatArray]:
        """Outputs of the graph, in the order of the queries."""
        rows = self._tokenizer.rows(queries)
        split = like_parts_of if "input_ids" in self._inputs else parts_of
        order: list[int] = []
        values: list[list[FloatArray]] = []
        for part in split([len(row) for row in rows], self._batch):
            lexical = np.array([lexical_values(queries[i]) for i in part], dtype=np.float32)
            values.append(self._run([rows[i] for i in part], lexical, outputs))
            order += part
            if progress is not None:
                progress(len(part))
        if len(values) == 1 and split is parts_of:
            return values[0]
        if not values:
            return [np.zeros((0, self._n_candidates))] * len(outputs)
        back = np.argsort(order)
        return [np.concatenate(out)[back] for out in zip(*values, strict=True)]

    def predict_one(self, query: Query, lexical: FloatArray | None = None) -> Predictions:
        """Score one query; arrays of shape (1, K).

        ``lexical``, all columns of this release, is not made again if known.
        """
        lexical = lexical_features(query) if lexical is None else lexical
        values = self._run([self._tokenizer.row(query)], lexical[None], self._outputs)
        return self._predictions(values)

    def _run(
        self, rows: Sequence[IntArray], lexical: FloatArray, outputs: list[str]
    ) -> list[FloatArray]:
        pad_id = self._tokenizer.layout.pad_id
        if self._columns is not None:
            lexical = lexical[:, self._columns]
        feed = graph_inputs(
            self._inputs, tokens=Tokens.from_rows(rows), lexical=lexical, pad_id=pad_id
        )
        try:
            values: list[FloatArray] = self._session.run(outputs, feed)
        except Exception as error:  # ONNX Runtime raises many classes without a common base
            raise ScorerUnavailableError(f"the router's graph failed: {error}") from error
        return values

    def _predictions(self, values: Sequence[FloatArray]) -> Predictions:
        quality, input_tokens, output_tokens, latency_ms, *std = values
        return Predictions(quality, input_tokens, output_tokens, latency_ms, *std)


def _session(graph: bytes) -> Any:
    session = open_session(graph, GRAPH)
    inputs = {value.name for value in session.get_inputs()}
    lacking = set(PARTS) - {value.name for value in session.get_outputs()}
    if not inputs <= set(INPUTS) or lacking:
        raise BundleError(
            f"{GRAPH} may take {tuple(INPUTS)} and must give {PARTS}; it takes {inputs} and "
            f"lacks {lacking or 'nothing'}"
        )
    return session
