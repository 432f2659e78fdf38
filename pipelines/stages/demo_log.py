"""The demo on a folder without a matrix: the same way, judged by the log alone."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml

from pipelines.artifacts import RunFolders
from pipelines.config import DemoConfig
from pipelines.console import console
from pipelines.options import load_config
from pipelines.stages import run as chain
from router_ml.data.outcomes import parse_queries, read_outcomes
from router_ml.errors import ConfigError
from router_ml.features.query import Query

KNOWN: Final = ("requests.jsonl.gz", "labels.csv", "prices.json")
MAPPING: Final = "mapping.yaml"
_LOOKED_AT: Final = (".csv", ".json", ".jsonl", ".gz", ".parquet", ".tsv")


def run_on_log(config: DemoConfig, data: Path) -> tuple[str, tuple[Query, ...]]:
    """From the folder's files to a gate report; returns what is to be served, and its queries.

    Files of other names than the demo's are looked at, and mapped (``router-ml inspect``).

    Raises
    ------
    ConfigError
        If no file of the folder is a log, or none is a price list.
    """
    store = config.output.resolve() / "registry"
    shutil.rmtree(store, ignore_errors=True)
    store.mkdir(parents=True)
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{store / 'mlflow.db'}"
    values = _files(config, data)
    report = chain.run(
        load_config(
            chain.RunConfig, overrides={**values, "output": config.output, "cache": config.cache}
        )
    )
    console.print(report.text, highlight=False, markup=False, soft_wrap=True)
    at = RunFolders(config.output)
    queries = tuple({id(q): q for q in parse_queries(read_outcomes(at.joined))}.values())
    served = "models:/router@champion" if report.promoted else str(at.bundle)
    if not report.promoted:
        console.print(
            f"Version {report.challenger} stays challenger; its bundle is served instead."
        )
    return served, tuple(queries[i] for i in np.linspace(0, len(queries) - 1, 3).astype(int))


def _files(config: DemoConfig, data: Path) -> dict[str, Any]:
    """The demo's own names where they are there, else whatever the files turn out to be."""
    if all((data / name).is_file() for name in KNOWN):
        parts = ("requests", "labels", "prices")
        return {part: (str(data / name),) for part, name in zip(parts, KNOWN, strict=True)}
    found = sorted(str(path) for path in data.iterdir() if path.suffix.lower() in _LOOKED_AT)
    if not found:
        raise ConfigError(f"{data} has no file to look at; the demo reads {', '.join(KNOWN)}")
    from pipelines.inspect.draft import draft  # only names other than the demo's need it

    text = draft(found)
    config.output.mkdir(parents=True, exist_ok=True)
    (config.output / MAPPING).write_text(text, encoding="utf-8")
    console.print(f"names are not the demo's; mapped in {config.output / MAPPING}")
    values: dict[str, Any] = yaml.safe_load(text)
    if missing := [part for part in ("requests", "prices") if not values.get(part)]:
        raise ConfigError(
            f"no file of {data} looks like {' or '.join(missing)}; see {config.output / MAPPING}"
        )
    return values
