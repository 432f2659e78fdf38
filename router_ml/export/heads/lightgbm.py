"""Trees: every ensemble of every target in one node."""

from __future__ import annotations

from typing import Any

from router_ml.estimators.lightgbm import LightGBMEstimator
from router_ml.estimators.trees import float_below
from router_ml.export.graph import FeatureTensors, GraphBuilder
from router_ml.export.heads.base import add_head
from router_ml.export.heads.quality import add_effects, clip_quality


@add_head.register
def _(estimator: LightGBMEstimator, graph: GraphBuilder, features: FeatureTensors) -> str:
    forest = Forest(n_targets=len(estimator.boosters_))
    for j, booster in enumerate(estimator.boosters_):
        if booster is not None:
            forest.add(booster.dump_model(), [j])
    x = graph.op("Concat", features.lexical, features.embedding, axis=1)
    effects = graph.op("TreeEnsembleRegressor", x, domain="ai.onnx.ml", **forest.attributes())
    return clip_quality(graph, add_effects(graph, effects, estimator.level_))


def tree_attributes(booster: Any) -> dict[str, Any]:
    """Attributes of a one-target ``TreeEnsembleRegressor`` that gives the booster's raw score."""
    forest = Forest(n_targets=1)
    forest.add(booster.dump_model(), [0])
    return forest.attributes()


class Forest:
    """Collects LightGBM trees into the attributes of one ``TreeEnsembleRegressor``.

    Parameters
    ----------
    n_targets : columns of the node's output
    """

    def __init__(self, *, n_targets: int) -> None:
        self.n_targets = n_targets
        self.n_trees = 0
        self.nodes: dict[str, list[Any]] = {
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
        self.leaves: dict[str, list[Any]] = {
            key: [] for key in ("treeids", "nodeids", "ids", "weights")
        }

    def add(self, dump: dict[str, Any], targets: list[int]) -> None:
        """Add a dumped booster whose sum goes to every one of ``targets``."""
        for tree in dump["tree_info"]:
            self._walk(tree["tree_structure"], targets, count=[0])
            self.n_trees += 1

    def attributes(self) -> dict[str, Any]:
        """Attributes of the node."""
        if self.n_trees == 0:
            self._leaf(0, 0.0, [0])
            self.n_trees = 1
        return {
            "n_targets": self.n_targets,
            "post_transform": "NONE",
            "aggregate_function": "SUM",
            **{f"nodes_{key}": values for key, values in self.nodes.items()},
            **{f"target_{key}": values for key, values in self.leaves.items()},
        }

    def _walk(self, node: dict[str, Any], targets: list[int], count: list[int]) -> int:
        """Add a subtree, parents first; returns the number of its root."""
        number = count[0]
        count[0] += 1
        if "leaf_value" in node:
            self._leaf(number, float(node["leaf_value"]), targets)
            return number
        threshold = float_below(node["threshold"])
        # Where training saw none missing, no node asks for them: ONNX Runtime is faster without.
        missing_left = node["missing_type"] == "NaN" and node["default_left"]
        self._node(number, node["split_feature"], "BRANCH_LEQ", threshold, missing_left)
        at = len(self.nodes["modes"]) - 1
        self.nodes["truenodeids"][at] = self._walk(node["left_child"], targets, count)
        self.nodes["falsenodeids"][at] = self._walk(node["right_child"], targets, count)
        return number

    def _leaf(self, number: int, value: float, targets: list[int]) -> None:
        self._node(number, 0, "LEAF", 0.0)
        for target in targets:
            self.leaves["treeids"].append(self.n_trees)
            self.leaves["nodeids"].append(number)
            self.leaves["ids"].append(target)
            self.leaves["weights"].append(value)

    def _node(
        self, number: int, feature: int, mode: str, value: float, left_when_missing: bool = False
    ) -> None:
        row = (self.n_trees, number, feature, mode, value, 0, 0, int(left_when_missing))
        for column, entry in zip(self.nodes.values(), row, strict=True):
            column.append(entry)
