"""Cascades side by side with routers, constants and the oracle, where every answer is known."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from pipelines.benchmarks.cascade_figures import draw
from pipelines.benchmarks.cascade_methods import Inputs, run_fold
from pipelines.benchmarks.cascade_metrics import pooled_points, summarise
from pipelines.benchmarks.workloads import CASCADE_WORKLOADS, read_cascade_workload
from pipelines.encoders import get_encoder
from router_ml.cascade.answers.table import AnswerTable
from router_ml.cascade.scorer import AnswerScorer
from router_ml.data.full_information import FullInformation, concatenate
from router_ml.data.groups import group_folds, splits
from router_ml.estimators.registry import make_estimator
from router_ml.features.featurizer import Featurizer
from router_ml.features.query import Query
from router_ml.types.arrays import IntArray

ROUTER: Final[Mapping[str, Any]] = {"name": "stacked"}


def run(
    data: Path,
    out: Path,
    test_data: Path | None = None,
    *,
    workloads: Sequence[str] = CASCADE_WORKLOADS,
    cache: Path | None = None,
    plots: Path | None = None,
    router: Mapping[str, Any] = ROUTER,
    n_splits: int = 5,
    random_state: int = 0,
    progress: Callable[[Iterable[int], str], Iterable[int]] = lambda steps, _: steps,
) -> Path:
    """Measure and write ``workloads.<workload>.methods.<method>.<metric>`` as JSON.

    Without ``test_data``: cross-validated by prompt, all choices made inside the training folds.
    With it: everything is fitted on all of ``data`` and played once on ``test_data``.

    Parameters
    ----------
    data, test_data : folders with ``bfcl/`` and ``routellm/``
    out : JSON file
    workloads : of ``bfcl-12`` and ``routellm-gsm8k``
    cache : folder for the encoder; default: a temporary one
    plots : folder for figures, optional
    router : specification of the quality estimator that gives priors and plain routing
    progress : wraps the loop over folds, given a label
    """
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in workloads:
            known = read_cascade_workload(name, data)
            n_known = len(known)
            if test_data is not None:
                known = concatenate(known, read_cascade_workload(name, test_data))
            inputs = prepare(known, cache or Path(scratch))
            pairs = _splits(known, n_known, n_splits, random_state)
            folds = []
            for i in progress(range(len(pairs)), name):
                train, test = pairs[i]
                folds.append(
                    run_fold(
                        inputs,
                        train,
                        test,
                        router=make_estimator(router),
                        scorer=AnswerScorer(random_state=random_state),
                    )
                )
            methods = summarise(known, folds, random_state=random_state)
            if plots is not None:
                draw(name, pooled_points(known, folds), plots / f"cascades-{name}.png")
            result[name] = {
                "methods": {
                    method: {metric: value.as_dict() for metric, value in metrics.items()}
                    for method, metrics in methods.items()
                }
            }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(orjson.dumps({"workloads": result}, option=orjson.OPT_INDENT_2))
    return out


def prepare(data: FullInformation, cache: Path) -> Inputs:
    """Read and embed queries and answers."""
    featurizer = Featurizer(encoder=get_encoder(cache=cache))
    texts = [Query(text) for row in data.answers or () for text in row]
    embedding = featurizer.transform(texts).embedding
    return Inputs(
        data=data,
        table=AnswerTable.of(data.queries, data.answers or ()),
        batch=featurizer.transform(data.queries),
        answer_embedding=embedding.reshape(len(data), len(data.candidates), -1),
    )


def _splits(
    data: FullInformation, n_known: int, n_splits: int, random_state: int
) -> list[tuple[IntArray, IntArray]]:
    """Folds of prompts; or, where rows beyond ``n_known`` were given, those as the only test."""
    rows = np.arange(len(data))
    if n_known < len(data):
        fresh = rows[n_known:]
        train = rows[:n_known]
        return [(train[~np.isin(data.groups[train], data.groups[fresh])], fresh)]
    return list(splits(group_folds(data.groups, n_folds=n_splits, random_state=random_state)))
