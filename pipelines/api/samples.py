"""The samples that come with this package: a few hundred requests in each format."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pandas as pd

import router_ml
from pipelines.api.log import Log, read_log
from pipelines.api.workspace import cache_folder
from router_ml.errors import ConfigError

_CHECKOUT: Final = Path(__file__).parents[2] / "data"


def sample(name: str = "") -> Path:
    """Path of a sample file, or of the folder of all of them.

    In a checkout they lie in ``data/``; where the package is installed without it they are written
    below the cache once. All hold the same requests of a synthetic world.

    Parameters
    ----------
    name : such as ``"export.csv"``; ``""`` = the folder

    Raises
    ------
    ConfigError
        If there is no such sample.

    Examples
    --------
    >>> import router_ml as rm
    >>> rm.sample("litellm.jsonl.gz").name
    'litellm.jsonl.gz'
    """
    folder = _CHECKOUT
    if not (folder / "export.csv").is_file():
        folder = cache_folder() / f"samples-{router_ml.__version__}"
        if not (folder / "scores.csv").is_file():
            from pipelines.samples.files import write_samples

            write_samples(folder)
    path = folder / name
    if not path.exists():
        known = ", ".join(
            sorted(p.name for p in folder.iterdir() if p.suffix not in (".md", ".py"))
        )
        raise ConfigError(f"no sample {name}; there are {known}")
    return path


def sample_log(*, matrix: bool = False) -> Log:
    """The sample log, joined: 750 requests to three candidates, nine tenths of them labelled.

    Parameters
    ----------
    matrix : whether it comes with the outcome of every candidate, to be judged by

    Returns
    -------
    The log; costs are in US dollars, quality is 0 or 1

    Examples
    --------
    >>> import router_ml as rm
    >>> rm.sample_log()
    Log(750 requests, 671 labelled, 3 candidates, $0.64)
    """
    return read_log(
        sample("litellm.jsonl.gz"),
        labels=sample("labels.csv"),
        prices=sample("prices.json"),
        matrix=sample("matrix.parquet") if matrix else None,
    )


def sample_scores() -> pd.DataFrame:
    """The sample as a table of scores, for :func:`fit_scores`.

    Returns
    -------
    450 rows: ``prompt``, a score of 0 or 1 in a column a candidate, and ``usd NAME``, what each
    answer cost, US dollars

    Examples
    --------
    >>> import router_ml as rm
    >>> rm.sample_scores().columns.tolist()[:4]
    ['prompt', 'atlas-nano', 'atlas-medium', 'delta-max']
    """
    return pd.read_csv(sample("scores.csv"))
