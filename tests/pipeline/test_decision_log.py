"""A decision log joined: alone, and with the request log of the same traffic."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pytest

from pipelines.config import JoinConfig, load_config
from pipelines.stages.join import run
from router_ml.data.outcomes import read_outcomes, to_matrices
from router_ml.errors import ConfigError, JoinError, SchemaError
from tests.dirty_decisions import (
    AS_OF,
    CANDIDATES,
    PRICES,
    DirtyDecisions,
    decision,
    feedback,
    write_dirty_decisions,
)


def join(folder: Path, **changes: Any) -> Path:
    values = {
        "decisions": str(folder / "decisions"),
        "prices": str(folder / "prices.json"),
        "output": folder / "joined",
        "as_of": AS_OF,
        "tolerance": 0.3,
        **changes,
    }
    return run(load_config(JoinConfig, overrides=values))


@pytest.fixture(scope="module")
def dirty(tmp_path_factory: pytest.TempPathFactory) -> DirtyDecisions:
    log = write_dirty_decisions(tmp_path_factory.mktemp("decisions"))
    join(log.folder, output=log.folder / "alone")
    requests = str(log.folder / "requests.jsonl")
    join(log.folder, output=log.folder / "with_requests", requests=requests)
    return log


def test_feedback_says_whose_fault_a_failure_was(tmp_path: Path) -> None:
    rows = [decision(i) for i in range(10)]
    rows += [
        feedback(0, ttft_ms=120.0, status="OK"),
        feedback(1, status="Failed", error_class="litellm.BadRequestError", quality=None),
        feedback(2, status=None, error_class="openai.RateLimitError", quality=None),
    ]
    (tmp_path / "decisions").mkdir()
    path = tmp_path / "decisions" / "decisions-20260301T120000-1-00001.jsonl"
    path.write_bytes(b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows))
    (tmp_path / "prices.json").write_bytes(orjson.dumps(PRICES))
    frame = read_outcomes(join(tmp_path)).set_index("decision_id")
    assert (frame.loc["d-00000", "ttft_ms"], frame.loc["d-00000", "status"]) == (120.0, "success")
    assert accounts(tmp_path / "joined")["decisions"]["excluded"] == {"client_error": 1}
    failed = frame.loc["d-00002"]
    assert (failed["status"], failed["error_class"], failed["quality"]) == (
        "failure",
        "ratelimiterror",
        0.0,
    )


def accounts(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads((folder / "report.json").read_bytes())["accounting"]
    return found


@pytest.mark.parametrize("case", ["alone", "with_requests"])
@pytest.mark.parametrize("source", ["decisions", "feedback"])
def test_every_row_meets_the_fate_it_was_made_for(
    dirty: DirtyDecisions, case: str, source: str
) -> None:
    expected = getattr(dirty, case)[source]
    account = accounts(dirty.folder / case)[source]
    for fate in ("collapsed", "excluded", "rejected"):
        assert account[fate] == expected[fate]
    assert account["used"] == expected["used"][""]
    fates = (account["collapsed"], account["excluded"], account["rejected"])
    assert account["in"] == account["used"] + sum(sum(fate.values()) for fate in fates)


def test_every_line_of_the_log_is_counted(dirty: DirtyDecisions) -> None:
    plain, zipped, _ = sorted((dirty.folder / "decisions").iterdir())
    found = accounts(dirty.folder / "alone")
    assert found["decisions"]["in"] == len(plain.read_bytes().splitlines())
    assert found["feedback"]["in"] == len(gzip.decompress(zipped.read_bytes()).splitlines())


@pytest.mark.parametrize("case", ["alone", "with_requests"])
def test_rejects_are_written_one_by_one(dirty: DirtyDecisions, case: str) -> None:
    rows = pd.read_parquet(dirty.folder / case / "rejects.parquet")
    for source, account in accounts(dirty.folder / case).items():
        found = rows[rows["source"] == source]["reason"].value_counts().to_dict()
        assert found == account["rejected"]


def test_alone_a_decision_is_a_request_and_feedback_its_outcome(dirty: DirtyDecisions) -> None:
    frame = read_outcomes(dirty.folder / "alone").set_index("decision_id")
    assert len(frame) == 98
    row = frame.loc["d-00010"]
    assert (row["request_id"], row["candidate_chosen"], row["propensity"]) == (
        "req-00010",
        "medium",
        0.8,
    )
    assert list(row["eligible"]) == ["small", "medium"]
    assert list(row["action_probs"]) == [0.2, 0.8]
    assert row["policy_version"] == "7"
    assert (row["quality"], row["label_source"], row["input_tokens"]) == (1.0, "checker", 100)
    assert row["cost_usd"] == pytest.approx((100 * 2 + 10 * 8) / 1e6)


def test_the_latest_feedback_of_a_name_holds(dirty: DirtyDecisions) -> None:
    frame = read_outcomes(dirty.folder / "alone").set_index("decision_id")
    assert frame.loc["d-00001", "quality"] == 0.0
    assert frame.loc["d-00001", "n_labels"] == 2  # the checker's latest, and thumbs
    assert frame.loc["d-00006", "cost_usd"] == 0.5
    assert frame.loc["d-00006", "cost_source"] == "logged"
    failed = frame[frame["status"] == "failure"]
    assert sorted(failed.index) == ["d-00061", "d-00062"]
    assert (failed["quality"] == 0.0).all()


def test_without_feedback_outcomes_are_unknown_and_not_zero(dirty: DirtyDecisions) -> None:
    frame = read_outcomes(dirty.folder / "alone")
    silent = frame[frame["decision_id"] == "d-00090"].iloc[0]
    assert silent[["quality", "cost_usd", "input_tokens", "latency_ms"]].isna().all()
    table = to_matrices(frame, CANDIDATES)
    assert pd.isna(table.Y).all(axis=1).sum() == 98 - 60 - 1 - 2
    assert table.action_probs[0].tolist() == [0.2, 0.8, 0.0]
    assert not table.eligible[:, 2].any()


def test_with_requests_each_log_gives_what_it_knows(dirty: DirtyDecisions) -> None:
    frame = read_outcomes(dirty.folder / "with_requests").set_index("request_id")
    row = frame.loc["req-00010"]
    assert (row["decision_id"], row["propensity"], row["input_tokens"]) == ("d-00010", 0.8, 90)
    assert row["latency_ms"] == pytest.approx(400.0)
    redacted = frame.loc["req-00055"]
    assert redacted["query"] == "Question 55, please."
    assert frame.loc["req-00101", "propensity"] == 0.8  # text of one, decision of the other
    assert frame["propensity"].isna()["old-2"]
    assert "x-71" not in frame.index  # its decision chose medium, large answered: a fallback
    used = accounts(dirty.folder / "with_requests")["requests"]["used"]
    assert used == 50 + 10 + 4 + 5


def test_text_that_is_nowhere_stops_the_job_above_the_tolerance(
    dirty: DirtyDecisions, tmp_path: Path
) -> None:
    with pytest.raises(JoinError, match=r"decisions: \d+ of \d+ rows rejected .*no_text 6"):
        join(dirty.folder, output=tmp_path, tolerance=0.05)


def test_labels_of_a_file_find_decisions_by_request_id(
    dirty: DirtyDecisions, tmp_path: Path
) -> None:
    line = "req-00090,exact,0.25,human,2026-03-01T13:00:00Z\n"
    (tmp_path / "labels.csv").write_text("request_id,name,value,source,time\n" + line)
    joined = join(dirty.folder, output=tmp_path / "out", labels=str(tmp_path / "labels.csv"))
    assert accounts(joined)["labels"]["used"] == 1
    frame = read_outcomes(joined).set_index("decision_id")
    assert frame.loc["d-00090", "quality"] == 0.25


def test_beside_parquet_every_row_keeps_its_own_number(tmp_path: Path) -> None:
    """A decision log is numbered far behind all other rows, where a double tells none apart."""
    (tmp_path / "decisions").mkdir()
    path = tmp_path / "decisions" / "decisions-20260301T120000-1-00001.jsonl"
    rows = [decision(i) for i in range(30)] + [feedback(i) for i in range(20)]
    path.write_bytes(b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows))
    (tmp_path / "prices.json").write_bytes(orjson.dumps(PRICES))
    times = pd.to_datetime(["2026-02-01T00:00:00"] * 40)
    pd.DataFrame(
        {"request_id": [f"r-{i}" for i in range(40)], "time": times, "query": "What is it?",
         "candidate_served": CANDIDATES[0], "input_tokens": 10, "output_tokens": 5}
    ).to_parquet(tmp_path / "requests.parquet")  # fmt: skip
    pd.DataFrame(
        {"request_id": [f"r-{i}" for i in range(40)], "name": "exact", "value": 1.0,
         "source": "human", "time": times}
    ).to_parquet(tmp_path / "labels.parquet")  # fmt: skip
    tables = {f"{name}": str(tmp_path / f"{name}.parquet") for name in ("requests", "labels")}
    found = accounts(join(tmp_path, **tables))
    assert {source: found[source]["used"] for source in ("requests", "labels", "feedback")} == {
        "requests": 40, "labels": 40, "feedback": 20,
    }  # fmt: skip
    assert found["decisions"]["used"] == 30


def test_names_of_labels_and_ranges_hold_for_feedback(
    dirty: DirtyDecisions, tmp_path: Path
) -> None:
    ranges = {"thumbs": [1.0, 5.0]}  # of label files; the service's qualities are in [0, 1]
    options = {"label_names": ["thumbs"], "label_ranges": ranges}
    frame = read_outcomes(join(dirty.folder, output=tmp_path, **options)).set_index("decision_id")
    labelled = frame[frame["label_source"] == "user"]
    assert sorted(labelled.index) == ["d-00000", "d-00001", "d-00002"]
    assert set(labelled["quality"]) == {0.5}
    assert frame.loc["d-00010", "input_tokens"] == 100  # reported beside a label not used


def test_a_log_is_needed_and_a_pattern_must_name_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing key requests"):
        load_config(JoinConfig, overrides={"prices": "p.json", "output": "o"})
    (tmp_path / "prices.json").write_text('{"small": {"input_cost_per_token": 1e-6}}')
    with pytest.raises(SchemaError, match="decisions: no file"):
        join(tmp_path)


def test_an_unfinished_line_is_torn_only_at_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "decisions"
    folder.mkdir()
    half = orjson.dumps(decision(1))[:50]
    whole = orjson.dumps(decision(2))
    (folder / "decisions-a.jsonl").write_bytes(half + b"\n" + whole + b"\n" + half)
    (tmp_path / "prices.json").write_text('{"medium": {"input_cost_per_token": 1e-6, '
                                          '"output_cost_per_token": 1e-6}}')  # fmt: skip
    account = accounts(join(tmp_path, tolerance=0.5))["decisions"]
    assert (account["in"], account["used"]) == (3, 1)
    assert account["excluded"] == {"torn_line": 1}
    assert account["rejected"] == {"malformed_line": 1}
