"""Trees grown by the workers of a Dask cluster, each on the rows that it was sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from router_ml.errors import ConfigError
from router_ml.estimators.trees import tree_features
from router_ml.types.arrays import FloatArray
from router_ml.types.queries import QueryBatch

CHUNK_ROWS: Final = 65_536
_NOT_OF_DASK: Final = ("num_threads", "force_row_wise")


@contextmanager
def grown_on_dask(
    estimator: Any, queries: QueryBatch
) -> Iterator[Callable[[FloatArray, FloatArray], str]]:
    """Give what grows the trees of one target, shape (n,), of weights, shape (n,), as text.

    The columns of the trees are made and sent a chunk at a time, once for all targets, so that
    features on disk (:mod:`router_ml.features.store`) are in the memory of the workers alone.
    LightGBM then exchanges histograms, not rows (``tree_learner: data``).

    Raises
    ------
    ConfigError
        If Dask is not installed.

    References
    ----------
    .. [1] LightGBM, "Distributed Learning Guide", Dask.
    """
    try:
        from dask import array as da
        from dask.distributed import Client
        from lightgbm import DaskLGBMRegressor
    except ImportError as error:
        raise ConfigError(f"scheduler needs `pip install 'router-ml[dask]'` ({error})") from error
    from router_ml.estimators.lightgbm import tree_parameters

    given = {k: v for k, v in tree_parameters(estimator).items() if k not in _NOT_OF_DASK}
    with Client(estimator.scheduler) as client:
        sent = [
            client.scatter(tree_features(part, estimator.n_dims), direct=False)
            for _, part in queries.chunks(CHUNK_ROWS)
        ]
        starts = range(0, len(queries), CHUNK_ROWS)
        bounds = [slice(begin, begin + CHUNK_ROWS) for begin in starts]
        width = queries.lexical.shape[1] + min(estimator.n_dims, queries.embedding.shape[1])

        def grow(target: FloatArray, weight: FloatArray) -> str:
            parts = [np.flatnonzero(weight[rows] > 0) for rows in bounds]
            kept = [(i, here) for i, here in enumerate(parts) if len(here)]
            rows = np.flatnonzero(weight > 0)
            sizes = tuple(len(here) for _, here in kept)
            X = da.concatenate(
                [
                    da.from_delayed(
                        client.submit(np.take, sent[i], here, axis=0),
                        shape=(len(here), width),
                        dtype=np.float64,
                    )
                    for i, here in kept
                ]
            )
            y, w = (da.from_array(values[rows], chunks=(sizes,)) for values in (target, weight))
            model = DaskLGBMRegressor(
                client=client,
                n_estimators=estimator.n_trees,
                tree_learner="data",
                **given,
            )
            model.fit(X, y, sample_weight=w)
            return str(model.booster_.model_to_string())

        yield grow
