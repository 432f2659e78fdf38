"""An export may be one JSON document, or objects one after another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.dirty_log import request
from tests.small_join import joined, rejected


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("wrapper", [None, "data", "logs"])
def test_an_export_may_be_one_json_document(
    tmp_path: Path, indent: int | None, wrapper: str | None
) -> None:
    rows: Any = [request(i) for i in range(3)]
    document = {wrapper: rows, "total": 3} if wrapper else rows
    path = tmp_path / "export.txt"
    path.write_text(json.dumps(document, indent=indent), encoding="utf-8")
    report, found = joined(tmp_path, rows, requests=str(path))
    assert (rejected(report), len(found)) == ({}, 3)


def test_indented_objects_one_after_another_are_records(tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    path.write_text("\n".join(json.dumps(request(i), indent=2) for i in range(3)) + "\n{\n oops")
    report, found = joined(tmp_path, [], requests=str(path))
    assert (rejected(report), len(found)) == ({"malformed_line": 1}, 3)
