"""The JSON file of a benchmark: ``workloads.<workload>.methods.<method>.<metric>``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

_OPTIONS: Final = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY


def read_results(path: Path) -> dict[str, Any]:
    """What a file holds, so that other workloads are kept; no workloads where there is none."""
    results: dict[str, Any] = orjson.loads(path.read_bytes()) if path.is_file() else {}
    results.setdefault("workloads", {})
    return results


def write_results(path: Path, results: Mapping[str, Any]) -> None:
    """Replace the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(results, option=_OPTIONS))
