"""The reference of a log: what the monitor will count, the first request of every session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson

from pipelines.artifacts import JoinedFolder
from pipelines.config import JoinConfig
from pipelines.logged_tools import logged_tools
from pipelines.stages.join import run
from router_ml.data.outcomes import read_candidates, read_outcomes, to_matrices
from router_ml.learning.reference import reference_statistics
from router_ml.learning.training_set import training_set
from tests.dirty_decisions import decision, feedback
from tests.semantic_routes import encoder


def test_of_a_session_the_first_request_counts(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []
    for i in range(20):
        german = i < 12  # one session of twelve turns, then eight requests without a session
        text = f"Bitte schreibe einen Brief, und zwar {i}." if german else f"Write a letter {i}."
        tool = {"name": f"crm-{i if i >= 16 else 0}", "description": "", "parameters": {}}
        session = "s-1" if german else None
        rows += [decision(i, query=text, tools=[tool], session_id=session), feedback(i)]
    (tmp_path / "decisions-1.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)) + b"\n")
    (tmp_path / "prices.csv").write_text(
        "candidate,input_usd_per_mtok,output_usd_per_mtok\nsmall,1,4\nmedium,2,8\nlarge,10,40\n"
    )
    folder = run(
        JoinConfig(
            decisions=(str(tmp_path),), prices=(str(tmp_path / "prices.csv"),),
            output=tmp_path / "joined",
        )
    )  # fmt: skip
    candidates = read_candidates(folder)
    table = to_matrices(read_outcomes(folder), candidates.names)
    assert np.flatnonzero(table.begins).tolist() == [0, *range(12, 20)]
    data = training_set(table, candidates, encoder())
    assert data.begun is not None
    assert data.begun.sum() == 9.0
    assert reference_statistics(data)["languages"]["de"] == round(1 / 9, 4)
    tools, unseen = logged_tools(JoinedFolder(folder).outcomes)
    assert tools == ["crm-0", "crm-16", "crm-17", "crm-18", "crm-19"]
    assert unseen == 1.0  # the last fifth brings tools that nobody had offered
