"""Extremely randomised trees whose leaves hold a value for every candidate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Final, Self

import numpy as np

from router_ml.errors import ConfigError
from router_ml.estimators.base import State
from router_ml.estimators.effects import Effects
from router_ml.estimators.quality import QualityEstimator
from router_ml.estimators.trees import float_below, tree_features
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.queries import QueryBatch

_MAX_DEPTH: Final = 24
_NO_AXES: Final = np.zeros((0, 0), dtype=np.float32)


class ExtraTreesEstimator(QualityEstimator):
    r"""Many tables of cells, cut at random, whose cells know every candidate.

    .. math:: \hat t_{ij} = \frac{1}{B} \sum_b v^{(b)}_{\ell_b(i) j}, \quad
              v_{\ell j} = \frac{S_{\ell j} + \kappa\, v_{\mathrm{parent}(\ell) j}}
                                {N_{\ell j} + \kappa}

    :math:`S` and :math:`N` are the weighted sum and the weight of target j (the common part and
    K contrasts) in a node, so a leaf without a label of some candidate has what the nodes above it
    say: candidate, then region, then query. A tree of one level is a table of clusters; a
    hundred random ones average to a smooth table that bends where labels bend. Since one split
    serves all candidates, it follows kinds of queries and not the noise of one contrast: on mixed
    traffic trees of their own for every contrast have a lower squared error and choose worse.

    Splits are found by scikit-learn on targets whose missing cells count as zero, which is their
    mean; values of the leaves are not.

    Parameters
    ----------
    n_trees : int, default=100
    min_leaf : int, default=10
        Queries in a leaf.
    prior : float, default=5.0
        :math:`\kappa`, in labels, > 0.
    max_features : float, default=0.3
        Share of columns of which the best random cut is taken, in (0, 1].
    n_dims : int, default=32
        Dimensions of the embedding given to the trees, beside all lexical columns.
    principal : bool, default=False
        Whether these are the principal components of the training queries' embeddings, and not
        the leading dimensions: of a static embedding the leading ones are as good, a sentence
        encoder's come in no order.
    random_state : int, default=0

    References
    ----------
    .. [1] Geurts, Ernst and Wehenkel, "Extremely Randomized Trees", Machine Learning 63, 2006.
    .. [2] Agarwal et al., "Hierarchical Shrinkage: Improving the Accuracy and Interpretability of
       Tree-Based Models", ICML 2022.

    Examples
    --------
    >>> from router_ml.checks.examples import example_batch, example_candidates
    >>> queries, table = example_batch(200), example_candidates(2)
    >>> long = queries.lexical[:, 0] > np.median(queries.lexical[:, 0])
    >>> Y = np.column_stack([np.where(long, 0.2, 0.9), np.full(200, 0.6)])
    >>> predicted = ExtraTreesEstimator(n_trees=20).fit(queries, Y, candidates=table).predict(
    ...     queries, table
    ... )
    >>> bool(((predicted[:, 1] > predicted[:, 0]) == long).mean() > 0.9)
    True
    """

    name: ClassVar[str] = "extra_trees"
    fitted: ClassVar[tuple[str, ...]] = (
        "feature_",
        "threshold_",
        "left_",
        "right_",
        "root_",
        "value_",
        "basis_",
    )

    def __init__(
        self,
        *,
        n_trees: int = 100,
        min_leaf: int = 10,
        prior: float = 5.0,
        max_features: float = 0.3,
        n_dims: int = 32,
        principal: bool = False,
        random_state: int = 0,
    ) -> None:
        self.n_trees = n_trees
        self.min_leaf = min_leaf
        self.prior = prior
        self.max_features = max_features
        self.n_dims = n_dims
        self.principal = principal
        self.random_state = random_state

    def fit_effects(self, queries: QueryBatch, effects: Effects) -> None:
        """See :meth:`router_ml.estimators.quality.QualityEstimator.fit_effects`."""
        from sklearn.ensemble import ExtraTreesRegressor

        if self.prior <= 0 or self.n_trees < 1 or not 0 < self.max_features <= 1:
            raise ConfigError(
                f"prior and n_trees must be above 0 and max_features in (0, 1], got {self!r}"
            )
        self.basis_: FloatArray = (
            principal_axes(queries.embedding, self.n_dims) if self.principal else _NO_AXES
        )
        X = self._columns(queries)
        forest = ExtraTreesRegressor(
            self.n_trees,
            min_samples_leaf=self.min_leaf,
            max_features=self.max_features,
            max_depth=_MAX_DEPTH,
            random_state=self.random_state,
        ).fit(X, effects.target, sample_weight=effects.weight[:, 0])
        trees = [member.tree_ for member in forest.estimators_]
        self.root_: IntArray = np.cumsum([0] + [tree.node_count for tree in trees[:-1]])
        parts = [self._nodes(tree, int(root)) for tree, root in zip(trees, self.root_, strict=True)]
        self.feature_: IntArray = np.concatenate([part[0] for part in parts])
        self.threshold_: FloatArray = np.concatenate([part[1] for part in parts])
        self.left_: IntArray = np.concatenate([part[2] for part in parts])
        self.right_: IntArray = np.concatenate([part[3] for part in parts])
        values = [
            shrunken_values(
                tree.children_left, tree.children_right, tree.apply(X), effects, self.prior
            )
            for tree in trees
        ]
        self.value_: FloatArray = (np.concatenate(values) / self.n_trees).astype(np.float32)

    @classmethod
    def from_state(cls, state: State) -> Self:
        """See :meth:`router_ml.estimators.base.Estimator.from_state`."""
        # Trees that were kept before there were axes split on leading dimensions.
        return super().from_state(replace(state, arrays={"basis_": _NO_AXES, **state.arrays}))

    def _nodes(self, tree: Any, root: int) -> tuple[IntArray, FloatArray, IntArray, IntArray]:
        """Column, threshold and children of every node; a leaf is its own child."""
        inner = tree.children_left >= 0
        here = np.arange(tree.node_count) + root
        below = np.array([float_below(t) for t in tree.threshold], dtype=np.float32)
        return (
            np.where(inner, tree.feature, 0),
            below,
            np.where(inner, tree.children_left + root, here),
            np.where(inner, tree.children_right + root, here),
        )

    def _columns(self, queries: QueryBatch) -> FloatArray:
        """What the trees split on, float32, shape (n, d)."""
        if not self.principal:
            return tree_features(queries, self.n_dims).astype(np.float32)
        # In double precision: single floats, rounded once, are the graph's to the last bit.
        components = queries.embedding.astype(np.float64) @ self.basis_.astype(np.float64)
        columns: FloatArray = np.hstack([queries.lexical, components]).astype(np.float32)
        return columns

    def _effects(self, queries: QueryBatch) -> FloatArray:
        X = self._columns(queries)
        effects = np.zeros((len(X), self.value_.shape[1]))
        for root in self.root_:
            effects += self.value_[self._leaf(X, int(root))]
        return effects

    def _leaf(self, X: FloatArray, root: int) -> IntArray:
        """Leaf of every row in one tree: leaves are their own children, so all rows can walk on."""
        at = np.full(len(X), root, dtype=np.int64)
        rows = np.arange(len(X))
        for _ in range(_MAX_DEPTH):
            goes_left = X[rows, self.feature_[at]] <= self.threshold_[at]
            after = np.where(goes_left, self.left_[at], self.right_[at])
            if np.array_equal(after, at):
                break
            at = after
        return at


def principal_axes(embedding: FloatArray, n_axes: int) -> FloatArray:
    """Directions in which embeddings, shape (n, d), vary most, as float32 columns, shape (d, m).

    m is ``n_axes``, or less where there are fewer rows or dimensions. Trees do not mind a shift, so
    nothing is centred when they are applied.

    Examples
    --------
    >>> points = np.array([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]])
    >>> [round(float(x), 3) for x in principal_axes(points, 1).ravel()]
    [0.447, 0.894]
    """
    x = embedding.astype(np.float64)
    x -= x.mean(axis=0)
    values, vectors = np.linalg.eigh(x.T @ x)
    largest = np.argsort(-values, kind="stable")[: min(n_axes, len(x))]
    axes: FloatArray = vectors[:, largest]
    # The sign of an axis means nothing; fixing it keeps a fit the same on any machine.
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    signed: FloatArray = (axes * signs).astype(np.float32)
    return signed


def shrunken_values(
    left: IntArray, right: IntArray, leaf: IntArray, effects: Effects, prior: float
) -> FloatArray:
    """Means of every node, each pulled towards its parent's, shape (n_nodes, K + 1).

    Parameters
    ----------
    left, right : children of every node, -1 where there are none; children come after parents
    leaf : of every row, shape (n,)
    prior : labels by which a node is pulled; the root is pulled to zero
    """
    shape = (len(left), effects.target.shape[1])
    total, mass = np.zeros(shape), np.zeros(shape)
    np.add.at(total, leaf, effects.weight * effects.target)
    np.add.at(mass, leaf, effects.weight)
    inner = np.flatnonzero(left >= 0)
    for node in inner[::-1]:
        children = [left[node], right[node]]
        total[node] = total[children].sum(axis=0)
        mass[node] = mass[children].sum(axis=0)
    value = np.zeros(shape)
    value[0] = total[0] / (mass[0] + prior)
    for node in inner:
        for child in (left[node], right[node]):
            value[child] = (total[child] + prior * value[node]) / (mass[child] + prior)
    return value
