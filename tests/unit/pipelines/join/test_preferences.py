"""An arena's file beside a log: read, accounted for, and the same query as in the log."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow.parquet as pq
import pytest

from pipelines.config import JoinConfig, load_config
from pipelines.inspect.draft import draft
from pipelines.stages.join import run
from router_ml.data.outcomes import read_outcomes
from router_ml.data.preferences import read_preferences
from router_ml.errors import ConfigError, JoinError
from tests.dirty_log import request

NAMES = ("small", "medium", "large")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    rows = [request(i, messages=[{"role": "user", "content": f"Prompt {i}"}]) for i in range(40)]
    (folder / "requests.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    prices = {n: {"input_cost_per_token": 1e-6, "output_cost_per_token": 4e-6} for n in NAMES}
    (folder / "prices.json").write_bytes(orjson.dumps(prices))
    return folder


def pair(i: int, winner: str = "model_a", **values: Any) -> dict[str, Any]:
    return {
        "prompt": f"Prompt {i}",
        "model_a": "small",
        "model_b": "large",
        "winner": winner,
    } | values


def joined(log: Path, rows: list[dict[str, Any]], name: str = "arena.csv", **changes: Any) -> Path:
    path = log / name
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    values = {
        "requests": str(log / "requests.jsonl"),
        "prices": str(log / "prices.json"),
        "labels": str(path),
        "output": log / f"joined-{path.stem}",
        **changes,
    }
    return run(load_config(JoinConfig, overrides=values))


def test_winners_of_arenas_are_read(log: Path) -> None:
    said = ["model_a", "model_b", "tie", "tie (bothbad)", "large", "both_bad"]
    rows = [pair(i, winner) for i, winner in enumerate(said)]
    folder = joined(log, [*rows, rows[0], pair(9, model_b="somebody else")])
    found = read_preferences(folder / "preferences.parquet", NAMES)
    assert found is not None
    assert found.winner.tolist() == ["a", "b", "tie", "both_bad", "b", "both_bad"]
    assert found.lead.tolist() == [1, -1, 0, 0, -1, 0]
    account = orjson.loads((folder / "report.json").read_bytes())["accounting"]["preferences"]
    assert account == {
        "in": 8, "used": 6, "collapsed": {"duplicate": 1}, "excluded": {"no_price": 1},
        "rejected": {},
    }  # fmt: skip
    assert "Comparisons" in (folder / "report.md").read_text()


def test_a_prompt_is_the_query_that_the_log_has_and_in_its_split(log: Path) -> None:
    rows = [pair(i) for i in range(40)]
    folder = joined(log, rows)
    outcomes = read_outcomes(folder).set_index("query")
    pairs = pq.read_table(folder / "preferences.parquet").to_pandas().set_index("query")
    both = outcomes.join(pairs.add_suffix("_pair"), how="inner")
    assert len(both) == 40
    for column in ("query_id", "group_id", "split"):
        assert (both[column] == both[f"{column}_pair"]).all(), column
    assert set(pairs["split"]) == {"train", "test"}


def test_ids_conversations_and_one_hot_winners(log: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"request_id": "req-00003", "model_a": "small", "model_b": "large", "winner": "tie"},
        {"conversation_a": [{"role": "user", "content": "Prompt 4"},
                            {"role": "assistant", "content": "never seen"}],
         "model_a": "small", "model_b": "large", "winner": "model_b"},
        {"prompt": '["Prompt 5", "a second turn"]', "model_a": "small", "model_b": "large",
         "winner_model_a": 1, "winner_model_b": 0, "winner_tie": 0},
    ]  # fmt: skip
    found = pq.read_table(joined(log, rows, "mixed.jsonl") / "preferences.parquet").to_pandas()
    assert found["query"].tolist() == ["Prompt 3", "Prompt 4", "Prompt 5"]
    assert found["winner"].tolist() == ["tie", "b", "a"]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"winner": "perhaps"}, "unknown_winner"),
        ({"model_b": "small"}, "same_candidate"),
        ({"model_b": ""}, "missing_candidate_b"),
        ({"prompt": ""}, "no_text"),
        ({"source": "nobody"}, "unknown_source"),
    ],
)
def test_what_cannot_be_used_is_rejected(log: Path, wrong: dict[str, str], reason: str) -> None:
    with pytest.raises(JoinError, match=reason):
        joined(log, [pair(0, source="human") | wrong], "wrong.csv")
    rejects = pd.read_parquet(log / "joined-wrong" / "rejects.parquet")
    assert rejects[["source", "reason", "line"]].values.tolist()[-1] == ["preferences", reason, 2]


def test_other_names_are_mapped_and_recognised(log: Path) -> None:
    rows = [
        {"question": f"Prompt {i}", "llm_1": NAMES[i % 3], "llm_2": NAMES[(i + 1) % 3],
         "better": ("1", "2")[i % 2]}
        for i in range(12)
    ]  # fmt: skip
    fields = {"candidate_a": ["llm_1"], "candidate_b": ["llm_2"], "winner": ["better"]}
    files = [str(log / "own.csv")]
    folder = joined(log, rows, "own.csv", labels=[{"files": files, "fields": fields}])
    found = read_preferences(folder / "preferences.parquet", NAMES)
    assert found is not None
    assert len(found) == 12
    assert np.unique(found.winner).tolist() == ["a", "b"]
    text = draft([str(log / "requests.jsonl"), str(log / "own.csv"), str(log / "prices.json")])
    for line in ("candidate_a: llm_1", "candidate_b: llm_2", "winner: better", "prompt: question"):
        assert line in text
    wrong = {**fields, "winners": ["x"]}
    with pytest.raises(ConfigError, match="winners"):
        joined(log, rows, "own.csv", labels=[{"files": files, "fields": wrong}])


def test_counts_are_recognised(log: Path) -> None:
    path = log / "runs.csv"
    rows = [f"req-{i:05d},{5},{i % 6},2026-03-01T00:00:00Z" for i in range(20)]
    path.write_text("\n".join(["request_id,attempts,passed,time", *rows]))
    text = draft([str(log / "requests.jsonl"), str(path), str(log / "prices.json")])
    assert "n_trials: attempts" in text
    assert "n_success: passed" in text
    assert "value:" not in text
