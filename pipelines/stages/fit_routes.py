"""Labelled utterances to a folder of semantic routes."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.artifacts import replaced
from pipelines.config import FitRoutesConfig
from pipelines.encoders import CachedEncoder, get_encoder
from router_ml.errors import SchemaError
from router_ml.semantic_routes.folder import write_routes
from router_ml.semantic_routes.learning import NEVER, fit_routes
from router_ml.semantic_routes.matcher import ABOUT


def run(config: FitRoutesConfig) -> Path:
    """Fit, and write ``config.output``; returns that folder.

    Raises
    ------
    SchemaError
        If the file lacks a column.
    DataError
        If a route has too few utterances.
    """
    texts, routes = read_utterances(config.utterances)
    encoder = get_encoder(cache=config.cache, kind=config.encoder, model=config.encoder_model)
    fitted = fit_routes(texts, routes, encoder, precision=config.precision)
    with replaced(config.output, config.output / ABOUT) as folder:
        inner = encoder.inner if isinstance(encoder, CachedEncoder) else encoder
        write_routes(folder, fitted, inner)
    return config.output


def read_utterances(path: Path) -> tuple[list[str], list[str | None]]:
    """Texts and their routes, ``None`` where there is none.

    Raises
    ------
    SchemaError
        If the file cannot be read, or lacks a column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise SchemaError(f"expected a CSV file of utterances at {path}: {error}") from error
    if not rows or not {"text", "route"} <= set(rows[0]):
        got = ", ".join(map(str, rows[0])) if rows else "no row"
        raise SchemaError(f"{path}: expected the columns text and route, got {got}")
    texts = [row["text"] or "" for row in rows]
    return texts, [(row["route"] or "").strip() or None for row in rows]


def line(name: str, row: Mapping[str, Any]) -> list[str]:
    """A row of the table that the command prints."""
    held = "-" if row["precision"] is None else f"{row['precision']:.3f}"
    never = row["threshold"] >= NEVER
    threshold = "never" if never else f"{row['threshold']:.2f}"
    return [name, str(row["utterances"]), threshold, held, f"{row['recall']:.3f}"]
