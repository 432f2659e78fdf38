"""What a caller names as log, labels and prices, as the join takes it: files, or frames on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pandas as pd

from pipelines.config import LabelFile
from pipelines.options import read_yaml
from router_ml.errors import ConfigError, SchemaError
from router_ml.types.candidates import TOKENS_PER_MTOK

Source = str | Path | pd.DataFrame
Sources = Source | Sequence[Source]
Prices = Sources | Mapping[str, tuple[float, float]]
PARTS = ("requests", "labels", "prices")


def listed(given: Any) -> list[Any]:
    """One thing, or several, as a list; nothing is an empty one."""
    if given is None:
        return []
    if isinstance(given, str | Path | Mapping) or not isinstance(given, Sequence):
        return [given]
    return list(given)


def as_files(given: Any, folder: Path, name: str) -> list[str | LabelFile]:
    """Paths of what was given; frames and price mappings are written to ``folder``.

    Raises
    ------
    SchemaError
        If something is neither, or a frame has no row.
    """
    files: list[str | LabelFile] = []
    for number, item in enumerate(listed(given)):
        path = folder / f"{name}-{number}"
        if isinstance(item, str | Path):
            files.append(str(item))
        elif isinstance(item, LabelFile):
            files.append(item)
        elif isinstance(item, pd.DataFrame):
            if item.empty:
                raise SchemaError(f"{name} must have rows, got a frame without any")
            written = path.with_suffix(".parquet")
            item.reset_index(drop=True).to_parquet(written)
            files.append(str(written))
        elif name == "prices" and isinstance(item, Mapping):
            written = path.with_suffix(".json")
            written.write_bytes(orjson.dumps(_price_map(item)))
            files.append(str(written))
        else:
            raise SchemaError(
                f"{name} must be paths or data frames, got {type(item).__name__}; "
                "write it to a file, or make a frame of it"
            )
    return files


def _price_map(prices: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """US dollars per million tokens as a price map has them: per token."""
    keys = ("input_cost_per_token", "output_cost_per_token")
    return {
        name: dict(zip(keys, (usd / TOKENS_PER_MTOK for usd in price_pair(name, pair)),
                       strict=True))
        for name, pair in prices.items()
    }  # fmt: skip


def price_pair(name: str, pair: Any) -> tuple[float, float]:
    """Prices of input and output, US dollars per million tokens.

    Raises
    ------
    ConfigError
        If it is no pair of numbers.
    """
    try:
        first, second = (float(usd) for usd in pair)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"the price of {name} must be (input, output) in US dollars per million tokens, got "
            f"{pair!r}"
        ) from error
    return first, second


def read_mapping(mapping: str | Path | Mapping[str, Any] | None) -> dict[str, Any]:
    """Keys of a mapping as ``router-ml inspect`` drafts it: files by role, and ``join``."""
    if mapping is None:
        return {}
    return dict(mapping if isinstance(mapping, Mapping) else read_yaml(Path(mapping)))


def with_mapping(given: Sequence[str | LabelFile], mapped: Any) -> list[str | LabelFile]:
    """Label files that were named, each with what a mapping says of a file of that name.

    Without any, the mapping's own.
    """
    known = [
        item if isinstance(item, str | LabelFile) else LabelFile(**item)
        for item in listed(mapped)
    ]  # fmt: skip
    if not given:
        return known
    told = {
        Path(file).name: item
        for item in known
        if isinstance(item, LabelFile)
        for file in item.files
    }
    return [
        LabelFile(files=(file,), fields=entry.fields, name=entry.name, source=entry.source)
        if isinstance(file, str) and (entry := told.get(Path(file).name)) is not None
        else file
        for file in given
    ]


def read_table(path: Path) -> pd.DataFrame:
    """A table in a CSV, JSON lines or Parquet file.

    Raises
    ------
    SchemaError
        If it is none.
    """
    readers: dict[str, Any] = {".csv": pd.read_csv, ".parquet": pd.read_parquet,
               ".jsonl": partial(pd.read_json, lines=True)}  # fmt: skip
    if path.suffix not in readers:
        raise SchemaError(f"{path} must be .csv, .jsonl or .parquet")
    try:
        frame: pd.DataFrame = readers[path.suffix](path)
    except (OSError, ValueError) as error:
        raise SchemaError(f"{path} cannot be read as a table: {error}") from error
    return frame
