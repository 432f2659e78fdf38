"""A table of scores as a log in which every candidate answered every prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import pandas as pd

from pipelines.api.log import Log
from pipelines.api.workspace import Workspace
from pipelines.config import JoinConfig
from router_ml.errors import SchemaError
from router_ml.features.query import parse_query, query_id
from router_ml.types.arrays import FloatArray
from router_ml.types.candidates import TOKENS_PER_MTOK

Prompts = Sequence[Any] | pd.Series
Costs = pd.DataFrame | Mapping[str, float] | pd.Series | Sequence[float]
USD_PER_UNIT: Final = 1e-9
"""Costs without prices are kept as output tokens at this price: a billionth of a dollar each."""
_CHARS_PER_TOKEN: Final = 4
_TIME: Final = np.datetime64("2000-01-01T00:00:00", "us")
"""Of rows of a table that has no times."""


def read_scores(
    prompts: Prompts,
    scores: pd.DataFrame,
    costs: Costs,
    *,
    test_share: float = 0.2,
    output: Path | str | None = None,
) -> Log:
    """The log that a table of scores is: every known cell a request, chosen at random.

    Parameters
    ----------
    prompts : n texts, or chat messages each
    scores : shape (n, K), a column a candidate, in [0, 1], NaN where unknown
    costs : US dollars: shape (n, K), or one mean a candidate
    test_share : share of the prompts that is kept for judging, in [0, 1)
    output : folder to write the join to; default: a temporary one

    Raises
    ------
    SchemaError
        If shapes or candidates disagree, a score is not in [0, 1], or a cost is not >= 0.

    Examples
    --------
    >>> import pandas as pd
    >>> import router_ml as rm
    >>> scores = pd.DataFrame({"small": [1.0, 0.0], "large": [1.0, 1.0]})
    >>> rm.read_scores(["Add 2 and 3.", "Prove it."], scores, {"small": 0.001, "large": 0.01})
    Log(4 requests, 4 labelled, 2 candidates, $0.02)
    """
    names = tuple(map(str, scores.columns))
    quality = _checked_scores(prompts, scores)
    cost_usd = _checked_costs(costs, scores, names)
    row, column = np.nonzero(np.isfinite(quality))
    keep = Workspace(output)
    work = keep.path
    texts = list(prompts)
    plain = [isinstance(text, str) for text in texts]
    ids = [f"row-{i:06d}-{names[k]}" for i, k in zip(row, column, strict=True)]
    offered = [tuple(names[k] for k in np.flatnonzero(np.isfinite(cells))) for cells in quality]
    requests = pd.DataFrame({
        "request_id": ids,
        "time": _TIME + row.astype("timedelta64[s]"),
        "candidate_served": [names[k] for k in column],
        "query": [texts[i] if plain[i] else None for i in row],
        "messages": [None if plain[i] else _json(texts[i]) for i in row],
        "input_tokens": [max(1, _chars(texts[i]) // _CHARS_PER_TOKEN) for i in row],
        "output_tokens": np.rint(cost_usd[row, column] / USD_PER_UNIT).astype(np.int64),
        "eligible": [list(offered[i]) for i in row],
        "propensity": [1.0 / len(offered[i]) for i in row],
    })  # fmt: skip
    labels = pd.DataFrame({
        "request_id": ids,
        "name": "score",
        "value": quality[row, column],
        "source": "checker",
        "weight": 1.0,
        "time": requests["time"],
    })  # fmt: skip
    requests.to_parquet(work / "scores.requests.parquet")
    labels.to_parquet(work / "scores.labels.parquet")
    prices = dict.fromkeys(names, (0.0, USD_PER_UNIT * TOKENS_PER_MTOK))
    _write_prices(work / "scores.prices.parquet", prices)
    matrix = None
    if np.isfinite(quality).all():
        matrix = work / "scores.matrix.parquet"
        _write_matrix(matrix, texts, names, quality, cost_usd)
    log = Log.join(
        JoinConfig(
            requests=(str(work / "scores.requests.parquet"),),
            labels=(str(work / "scores.labels.parquet"),),
            prices=(str(work / "scores.prices.parquet"),),
            output=work,
            max_tokens=10**15,
            test_share=test_share,
        ),
        matrix=matrix,
    )
    log.kept = (keep,)
    return log


def _checked_scores(prompts: Prompts, scores: pd.DataFrame) -> FloatArray:
    if not isinstance(scores, pd.DataFrame) or scores.shape[1] < 2:
        raise SchemaError(
            "scores must be a data frame with a column for each of at least two candidates, got "
            f"{getattr(scores, 'shape', type(scores).__name__)}"
        )
    if len(prompts) != len(scores):
        raise SchemaError(f"{len(prompts)} prompts, but {len(scores)} rows of scores")
    quality: FloatArray = scores.to_numpy(dtype=float, na_value=np.nan)
    bad = np.argwhere((quality < 0.0) | (quality > 1.0) | np.isinf(quality))
    if len(bad):
        i, k = bad[0]
        raise SchemaError(
            f"scores must be in [0, 1] or NaN, got {quality[i, k]:g} in row {i} of "
            f"{scores.columns[k]}; scale them by their range, such as (score - 1) / 4 for 1 to 5"
        )
    if empty := [str(n) for n, c in zip(scores.columns, quality.T, strict=True)
                 if not np.isfinite(c).any()]:  # fmt: skip
        raise SchemaError(f"no score of {', '.join(empty)}; leave the column out")
    return quality


def _checked_costs(costs: Costs, scores: pd.DataFrame, names: tuple[str, ...]) -> FloatArray:
    if isinstance(costs, pd.DataFrame):
        lacking = [name for name in scores.columns if name not in costs.columns]
        if lacking or len(costs) != len(scores):
            raise SchemaError(
                f"costs must have the {len(scores)} rows and the columns of scores, got "
                f"{len(costs)} rows without {', '.join(map(str, lacking)) or 'any missing'}"
            )
        found: FloatArray = costs[list(scores.columns)].to_numpy(dtype=float, na_value=np.nan)
    else:
        means = dict(costs) if isinstance(costs, Mapping | pd.Series) else dict(
            zip(names, costs, strict=False)
        )  # fmt: skip
        if lacking := [name for name in names if name not in means]:
            raise SchemaError(f"no cost of {', '.join(lacking)}; give US dollars a request")
        found = np.tile([float(means[name]) for name in names], (len(scores), 1))
    known = np.isfinite(scores.to_numpy(dtype=float, na_value=np.nan))
    if (known & ~(found >= 0.0)).any():
        i, k = np.argwhere(known & ~(found >= 0.0))[0]
        raise SchemaError(
            f"costs must be US dollars >= 0 wherever there is a score, got {found[i, k]} in row "
            f"{i} of {names[k]}"
        )
    return found


def is_scores(log: Log) -> bool:
    """Whether a log is a table of scores, in which nobody chose."""
    return (log.folder / "scores.requests.parquet").is_file()


def _write_prices(path: Path, prices: Mapping[str, tuple[float, float]]) -> None:
    pd.DataFrame({
        "candidate": list(prices),
        "input_usd_per_mtok": [first for first, _ in prices.values()],
        "output_usd_per_mtok": [second for _, second in prices.values()],
    }).to_parquet(path)  # fmt: skip


def _write_matrix(
    path: Path,
    texts: Sequence[Any],
    names: tuple[str, ...],
    quality: FloatArray,
    cost_usd: FloatArray,
) -> None:
    """Full information; of a prompt that stands there twice the first row."""
    ids = [query_id(parse_query(text)) for text in texts]
    first = np.sort(np.unique(ids, return_index=True)[1])
    k = len(names)
    units = cost_usd[first] / USD_PER_UNIT
    pd.DataFrame({
        "query_id": np.repeat([ids[i] for i in first], k),
        "prompt": np.repeat([texts[i] if isinstance(texts[i], str) else _json(texts[i])
                             for i in first], k),
        "candidate": list(names) * len(first),
        "quality": quality[first].ravel(),
        "input_tokens": 1,
        "output_tokens": units.ravel(),
        "cost_usd": cost_usd[first].ravel(),
        "latency_ms": 0.0,
    }).to_parquet(path)  # fmt: skip


def _json(messages: Any) -> str:
    return orjson.dumps(messages).decode()


def _chars(messages: Any) -> int:
    return parse_query(messages).history_chars
