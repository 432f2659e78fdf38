"""The JSON file of a benchmark: ``workloads.<workload>.methods.<method>.<metric>``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from pipelines.console import console, print_table

_OPTIONS: Final = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY


def read_results(path: Path) -> dict[str, Any]:
    """What a file holds, so that other workloads are kept; no workloads where there is none."""
    # The standard library's reader: it takes NaN, which older files hold.
    results: dict[str, Any] = json.loads(path.read_bytes()) if path.is_file() else {}
    results.setdefault("workloads", {})
    return results


def write_results(path: Path, results: Mapping[str, Any]) -> None:
    """Replace the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(results, option=_OPTIONS))


def print_results(path: Path) -> None:
    """One table a workload of a file in the benchmark schema: value and interval."""
    results = read_results(path)
    for workload, content in results["workloads"].items():
        rows = [
            (
                method,
                metric,
                _number(cell["value"]),
                f"[{_number(cell['low'])}, {_number(cell['high'])}]",
            )
            for method, metrics in content["methods"].items()
            for metric, cell in metrics.items()
        ]
        print_table(workload, ("method", "metric", "value", "95 % interval"), rows)
    console.print(f"written to {path}", highlight=False)


def _number(value: float | None) -> str:
    """Four digits; what did not come to an end is without a number."""
    return "none" if value is None else f"{value:.4g}"
