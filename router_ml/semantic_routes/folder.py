"""Fitted routes and their encoder as one graph, in a folder."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from router_ml.export.encoders import add_encoder
from router_ml.export.graph import GraphBuilder
from router_ml.features.encoder import Encoder
from router_ml.semantic_routes.learning import FittedRoutes
from router_ml.semantic_routes.matcher import ABOUT, FORMAT, GRAPH, TOKENIZER


def write_routes(folder: Path, fitted: FittedRoutes, encoder: Encoder) -> None:
    """Write ``routes.json``, ``routes.onnx`` and ``tokenizer.json``.

    Parameters
    ----------
    folder : made if it is not there
    encoder : the one that they were fitted with
    """
    graph = GraphBuilder()
    features = add_encoder(graph, encoder)
    weights, bias = graph.constant(fitted.weights), graph.constant(fitted.bias)
    logits = graph.op("Gemm", features.embedding, weights, bias)
    probability = graph.op("Softmax", logits, axis=1)
    graph.output(probability, "probability", ("batch", 1 + len(fitted.names)))
    files = {
        GRAPH: graph.build().SerializeToString(),
        TOKENIZER: encoder.tokenizer.to_json().encode(),
    }
    about = {
        "format_version": FORMAT,
        "names": list(fitted.names),
        "thresholds": fitted.thresholds.tolist(),
        "layout": asdict(encoder.tokenizer.layout),
        "encoder": {"kind": encoder.kind, "digest": encoder.digest},
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        "report": fitted.report,
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
