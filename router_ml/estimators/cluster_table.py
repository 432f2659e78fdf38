"""A table: what each candidate is worth on each cluster of queries."""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np

from router_ml.errors import ConfigError
from router_ml.estimators.effects import Effects
from router_ml.estimators.quality import QualityEstimator
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.queries import QueryBatch

_STARTS: Final = 3
_FIT_ROWS: Final = 20_000


class ClusterTableEstimator(QualityEstimator):
    r"""Mean effect of the labelled queries in the same cluster, shrunken to the constant.

    .. math:: \hat d_{ik} = \frac{\sum_{j \in C(i)} w_{jk} d_{jk}}
                                    {\sum_{j \in C(i)} w_{jk} + \kappa},
              \quad C(i) = \arg\min_c \lVert e_i - m_c \rVert

    Clusters are k-means of the embeddings. It is the coarsest of learned routers and the easiest to
    read: ``n_clusters`` times K numbers. Under a finer estimator that does not beat it, there is
    nothing beyond the kind of task to learn.

    Parameters
    ----------
    n_clusters : int, default=32
        At most, >= 1; fewer where there are fewer than ``min_rows`` labelled queries for each.
    prior : float, default=5.0
        :math:`\kappa`, labels of an average query that a cluster is shrunken by, >= 0.
    min_rows : int, default=20
        Labelled queries a cluster on average, >= 1.
    random_state : int, default=0
        Seeds k-means.

    Attributes
    ----------
    centres_ : shape (n_clusters, dims)
    table_ : common part and contrasts of each cluster, shape (n_clusters, K + 1)

    Raises
    ------
    ConfigError
        From ``fit``, if an argument is out of range.

    References
    ----------
    .. [1] Jitkrittum et al., "Universal Model Routing for Efficient LLM Inference", 2025,
       arXiv:2502.08773: quality by cluster, k-means of the embeddings.

    Examples
    --------
    >>> ClusterTableEstimator(n_clusters=8)
    ClusterTableEstimator(n_clusters=8, prior=5.0, min_rows=20, random_state=0)
    """

    name: ClassVar[str] = "cluster_table"
    fitted: ClassVar[tuple[str, ...]] = ("centres_", "table_")

    def __init__(
        self,
        *,
        n_clusters: int = 32,
        prior: float = 5.0,
        min_rows: int = 20,
        random_state: int = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.prior = prior
        self.min_rows = min_rows
        self.random_state = random_state

    def fit_effects(self, queries: QueryBatch, effects: Effects) -> None:
        """See :meth:`router_ml.estimators.quality.QualityEstimator.fit_effects`."""
        if self.n_clusters < 1 or self.min_rows < 1 or not self.prior >= 0:
            raise ConfigError(
                "n_clusters and min_rows must be >= 1 and prior >= 0, got "
                f"{self.n_clusters}, {self.min_rows} and {self.prior}"
            )
        self.centres_ = self._centres(np.asarray(queries.embedding, dtype=np.float32))
        cluster = self.clusters(queries)
        shape = (len(self.centres_), effects.target.shape[1])
        sums, mass = np.zeros(shape), np.zeros(shape)
        np.add.at(sums, cluster, effects.weight * effects.target)
        np.add.at(mass, cluster, effects.weight)
        self.table_ = np.divide(sums, mass + self.prior, out=np.zeros(shape), where=mass > 0)

    def clusters(self, queries: QueryBatch) -> IntArray:
        """Cluster of every query, shape (n,)."""
        x = np.asarray(queries.embedding, dtype=np.float32)
        nearest: IntArray = np.argmax(x @ self.centres_.T + self.offsets, axis=1)
        return nearest

    @property
    def offsets(self) -> FloatArray:
        """Half the squared norm of every centre, negative: the nearest has the largest score."""
        half: FloatArray = np.float32(-0.5) * np.square(self.centres_).sum(axis=1)
        return half

    def _centres(self, x: FloatArray) -> FloatArray:
        rng = np.random.default_rng(self.random_state)
        some = x if len(x) <= _FIT_ROWS else x[rng.choice(len(x), _FIT_ROWS, replace=False)]
        distinct = len(np.unique(some, axis=0))
        k = max(1, min(self.n_clusters, len(x) // self.min_rows, distinct))
        if k == 1:
            mean: FloatArray = some.mean(axis=0, keepdims=True)
            return mean
        from sklearn.cluster import KMeans

        model = KMeans(n_clusters=k, n_init=_STARTS, random_state=self.random_state).fit(some)
        return np.asarray(model.cluster_centers_, dtype=np.float32)

    def _effects(self, queries: QueryBatch) -> FloatArray:
        effects: FloatArray = self.table_[self.clusters(queries)]
        return effects
