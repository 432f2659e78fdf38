"""Randomised trees: one node, whose leaves hold a number for every candidate."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from router_ml.estimators.extra_trees import ExtraTreesEstimator
from router_ml.export.graph import FeatureTensors, GraphBuilder
from router_ml.export.heads.base import add_head
from router_ml.export.heads.quality import AXIS_1, clip_quality, per_candidate


@add_head.register
def _(estimator: ExtraTreesEstimator, graph: GraphBuilder, features: FeatureTensors) -> str:
    seen = _components(estimator, graph, features.embedding)
    x = graph.op("Concat", features.lexical, seen, axis=1)
    left = graph.op("TreeEnsembleRegressor", x, domain="ai.onnx.ml", **attributes(estimator))
    level = graph.constant(estimator.level_, np.float32)
    return clip_quality(graph, graph.op("Add", left, level))


def _components(estimator: ExtraTreesEstimator, graph: GraphBuilder, embedding: str) -> str:
    if estimator.principal:
        double, single = int(onnx.TensorProto.DOUBLE), int(onnx.TensorProto.FLOAT)
        axes = graph.op("Cast", graph.constant(estimator.basis_), to=double)
        product = graph.op("MatMul", graph.op("Cast", embedding, to=double), axes)
        return graph.op("Cast", product, to=single)
    # A slice, not a gather: an encoder may have fewer dimensions than are asked for.
    start, stop = graph.constant(np.array([0])), graph.constant(np.array([estimator.n_dims]))
    return graph.op("Slice", embedding, start, stop, graph.constant(AXIS_1))


def attributes(estimator: ExtraTreesEstimator) -> dict[str, Any]:
    """Attributes of the ``TreeEnsembleRegressor``: common part and contrasts added up in leaves."""
    n_nodes, k = len(estimator.feature_), len(estimator.level_)
    here = np.arange(n_nodes)
    tree = np.searchsorted(estimator.root_, here, side="right") - 1
    number = here - estimator.root_[tree]
    leaf = estimator.left_ == here
    mode = np.where(leaf, "LEAF", "BRANCH_LEQ")
    return {
        "n_targets": k,
        "post_transform": "NONE",
        "aggregate_function": "SUM",
        "nodes_treeids": tree.tolist(),
        "nodes_nodeids": number.tolist(),
        "nodes_featureids": estimator.feature_.tolist(),
        "nodes_modes": mode.tolist(),
        "nodes_values": np.where(leaf, np.float32(0.0), estimator.threshold_).tolist(),
        "nodes_truenodeids": np.where(leaf, 0, estimator.left_ - estimator.root_[tree]).tolist(),
        "nodes_falsenodeids": np.where(leaf, 0, estimator.right_ - estimator.root_[tree]).tolist(),
        "target_treeids": np.repeat(tree[leaf], k).tolist(),
        "target_nodeids": np.repeat(number[leaf], k).tolist(),
        "target_ids": np.tile(np.arange(k), np.count_nonzero(leaf)).tolist(),
        "target_weights": per_candidate(estimator.value_[leaf]).ravel().tolist(),
    }
