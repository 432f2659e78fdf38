"""LightGBM: one TreeEnsembleRegressor over the pairs of query and candidate."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from router_ml.estimators.lightgbm import LightGBMEstimator
from router_ml.export.graph import FeatureTensors, GraphBuilder
from router_ml.export.heads.base import add_head

_LEAF: Final = "LEAF"
_SPLIT: Final = "BRANCH_LEQ"


@add_head.register
def _(estimator: LightGBMEstimator, graph: GraphBuilder, features: FeatureTensors) -> str:
    table = estimator.candidate_features_
    n_candidates, n_columns = table.shape
    x = features.lexical
    if estimator.use_embedding:
        x = graph.op("Concat", x, _leading(graph, features.embedding, estimator.n_dims), axis=1)
    # (batch, p) and (K, c) to (batch * K, p + c)
    n_query = estimator.booster_.num_feature() - n_columns
    wide = graph.op("Unsqueeze", x, _ints(graph, 1))
    wide = graph.op("Expand", wide, _ints(graph, 1, n_candidates, 1))
    zero = graph.op("Mul", _leading(graph, wide, 1, axis=2), graph.constant(np.float32(0.0)))
    candidate = graph.op("Add", zero, graph.constant(table[None], np.float32))
    pairs = graph.op("Concat", wide, candidate, axis=2)
    pairs = graph.op("Reshape", pairs, _ints(graph, -1, n_query + n_columns))
    raw = graph.op(
        "TreeEnsembleRegressor", pairs, domain="ai.onnx.ml", **tree_attributes(estimator.booster_)
    )
    return graph.op("Reshape", graph.op("Sigmoid", raw), _ints(graph, -1, n_candidates))


def tree_attributes(booster: Any) -> dict[str, Any]:
    """Attributes of a one-target TreeEnsembleRegressor that gives the booster's raw score.

    LightGBM compares doubles; the graph's features are float32. A threshold rounded *down* to
    float32 sends every float32 value the same way as the double does.
    """
    nodes: dict[str, list[Any]] = {
        key: []
        for key in (
            "treeids",
            "nodeids",
            "featureids",
            "modes",
            "values",
            "truenodeids",
            "falsenodeids",
            "missing_value_tracks_true",
        )
    }
    leaves: dict[str, list[Any]] = {key: [] for key in ("treeids", "nodeids", "ids", "weights")}
    for tree_id, tree in enumerate(booster.dump_model()["tree_info"]):
        _add_tree(tree["tree_structure"], tree_id, nodes, leaves)
    return {
        "n_targets": 1,
        "aggregate_function": "SUM",
        "post_transform": "NONE",
        **{f"nodes_{key}": value for key, value in nodes.items()},
        **{f"target_{key}": value for key, value in leaves.items()},
    }


def _add_tree(
    root: dict[str, Any], tree_id: int, nodes: dict[str, list[Any]], leaves: dict[str, list[Any]]
) -> None:
    """Number the nodes in order of a pre-order walk, children after their parent."""
    stack: list[tuple[dict[str, Any], int | None, str]] = [(root, None, "")]
    count = 0
    base = len(nodes["treeids"])
    while stack:
        node, parent, side = stack.pop()
        if parent is not None:
            nodes[side][base + parent] = count
        leaf = "leaf_value" in node and "split_feature" not in node
        row = {
            "treeids": tree_id,
            "nodeids": count,
            "featureids": 0 if leaf else node["split_feature"],
            "modes": _LEAF if leaf else _SPLIT,
            "values": 0.0 if leaf else float(round_down(node["threshold"])),
            "truenodeids": 0,
            "falsenodeids": 0,
            "missing_value_tracks_true": 0 if leaf else int(node["default_left"]),
        }
        for key, value in row.items():
            nodes[key].append(value)
        if leaf:
            for key, value in zip(
                ("treeids", "nodeids", "ids", "weights"),
                (tree_id, count, 0, float(node["leaf_value"])),
                strict=True,
            ):
                leaves[key].append(value)
        else:
            stack.append((node["right_child"], count, "falsenodeids"))
            stack.append((node["left_child"], count, "truenodeids"))
        count += 1


def round_down(value: float) -> np.float32:
    """Largest float32 that is not above ``value``.

    Examples
    --------
    >>> float(round_down(0.1)) <= 0.1
    True
    """
    near = np.float32(value)
    return near if float(near) <= value else np.nextafter(near, np.float32(-np.inf))


def _leading(graph: GraphBuilder, tensor: str, n: int, axis: int = 1) -> str:
    return graph.op("Slice", tensor, _ints(graph, 0), _ints(graph, n), _ints(graph, axis))


def _ints(graph: GraphBuilder, *values: int) -> str:
    return graph.constant(np.array(values, dtype=np.int64))
