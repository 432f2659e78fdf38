"""Labels that come late where the answer was bad: the early ones do not judge young requests."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.artifacts import JoinedFolder
from pipelines.config import CertifyConfig, EvaluateConfig, JoinConfig
from pipelines.join.report import render
from pipelines.stages import certify, evaluate, join
from pipelines.stages.label_proposal import label_value
from router_ml.bundle.files import read_bundle
from router_ml.data.outcomes import read_outcomes
from router_ml.errors import DataError
from router_ml.evaluation.gate.pairing import Contender
from router_ml.runtime.runtime import Runtime
from tests.bundles import make_bundle
from tests.late_log import A_DAY, GOOD, NOW, write_late_log


def joined(config: JoinConfig) -> tuple[pd.DataFrame, dict[str, Any], str]:
    folder = JoinedFolder(join.run(config))
    report = json.loads(folder.report.read_text(encoding="utf-8"))
    return read_outcomes(folder.root), report, folder.summary.read_text(encoding="utf-8")


def test_a_delay_that_depends_on_the_outcome_does_not_flatter_the_newest(tmp_path: Path) -> None:
    config = write_late_log(tmp_path / "log", bad_days=1.0)
    outcomes, report, text = joined(config)
    young = outcomes[outcomes["time"] > pd.Timestamp(NOW - timedelta(days=2))]
    assert len(young) == pytest.approx(2 * A_DAY, abs=1)
    assert young["quality"].isna().all()  # failures, too, which need no label
    settled = outcomes["quality"].dropna()
    error = np.sqrt(GOOD * (1 - GOOD) / len(settled))
    served = outcomes["status"] == "success"
    assert outcomes.loc[served, "quality"].mean() == pytest.approx(GOOD, abs=3.0 * error)
    account = report["accounting"]["labels"]
    left_out = account["excluded"]["not_settled"]
    assert left_out > 100
    assert account["in"] == account["used"] + sum(account["excluded"].values())
    assert "requests from 2026-03-16 23:" in text
    # as it's written again where comparisons come after
    assert "requests from 2026-03-16 23:" in render(report)


def test_all_labels_count_where_that_is_asked_for(tmp_path: Path) -> None:
    config = write_late_log(tmp_path / "log", bad_days=1.0)
    outcomes, report, _ = joined(JoinConfig(**{**vars_of(config), "label_settled": 0.0}))
    young = outcomes[outcomes["time"] > pd.Timestamp(NOW - timedelta(days=1))]
    served = young["status"] == "success"
    assert young.loc[served, "quality"].mean() > GOOD + 0.1  # as the bad ones are not told yet
    assert "not_settled" not in report["accounting"]["labels"].get("excluded", {})


@pytest.mark.parametrize(
    ("bad_days", "said"),
    [
        (0.003, "none is left out"),
        (2.0, "more than a quarter"),
        (9.0, "the log is too short for it"),
    ],
)
def test_nothing_is_left_out_without_need_or_beyond_reason(
    bad_days: float, said: str, tmp_path: Path
) -> None:
    _, report, text = joined(write_late_log(tmp_path / "log", bad_days=bad_days))
    assert "not_settled" not in report["accounting"]["labels"].get("excluded", {})
    assert said in text


def test_a_split_by_time_has_its_share_of_settled_requests_to_test_on(tmp_path: Path) -> None:
    config = write_late_log(tmp_path / "log", bad_days=1.5, good_days=1.0)
    by_time = {"split_by": "time", "test_share": 0.2}
    outcomes, report, _ = joined(JoinConfig(**{**vars_of(config), **by_time}))
    cutoff = pd.Timestamp(report["settling"][0]["cutoff"]).tz_localize(None)
    settled = outcomes["time"] <= cutoff
    test = outcomes["split"] == "test"
    assert (settled & test).sum() == pytest.approx(0.2 * settled.sum(), abs=1)
    assert test[~settled].all()  # training would not have them without labels, nor before the test
    assert outcomes.loc[test, "quality"].notna().sum() > 0.7 * (settled & test).sum()
    assert outcomes.loc[test, "time"].min() > outcomes.loc[~test, "time"].max()
    account = report["accounting"]["labels"]
    assert account["in"] == account["used"] + sum(account["excluded"].values())


def test_a_test_split_without_settled_labels_says_why(tmp_path: Path) -> None:
    config = write_late_log(tmp_path / "log", bad_days=1.0)
    split = {"split_by": "time", "test_from": NOW - timedelta(days=1)}
    folder = join.run(JoinConfig(**{**vars_of(config), **split}))
    make_bundle(tmp_path / "bundle", names=["small"])
    common: dict[str, Any] = {"bundle": tmp_path / "bundle", "joined": folder}
    with pytest.raises(
        DataError, match="do not count yet: join again later, or with label_settled: 0"
    ):
        evaluate.run(EvaluateConfig(**common, output=tmp_path / "evaluation"))
    with pytest.raises(
        DataError, match="do not count yet: join again later, or with label_settled: 0"
    ):
        certify.run(CertifyConfig(**common, output=tmp_path / "certified"))


def test_no_request_that_waits_for_its_label_is_proposed_for_one(tmp_path: Path) -> None:
    folder = join.run(write_late_log(tmp_path / "log", bad_days=1.0))
    make_bundle(tmp_path / "bundle", names=["small", "large"])
    router = Contender(Runtime(bundle=read_bundle(tmp_path / "bundle"), random_state=0))
    value, _, table, _ = label_value(router, None, folder)
    young = table.time > np.datetime64(NOW - timedelta(days=2))
    assert young.sum() > 20
    assert not value.labelled[young].any()
    assert not value.open[young].any()
    assert value.open[~young].any()


def test_labels_of_prompts_that_training_has_seen_are_accounted_for(tmp_path: Path) -> None:
    config = write_late_log(tmp_path / "log", bad_days=1.0)
    path = tmp_path / "log" / "requests.jsonl"
    text = path.read_bytes().replace(b'"question 39', b'"question 2')  # 3,900 to 3,999: 200 to 299
    path.write_bytes(text)
    _, report, _ = joined(JoinConfig(**{**vars_of(config), "split_by": "time"}))
    requests, labels = (report["accounting"][name] for name in ("requests", "labels"))
    assert requests["excluded"]["group_seen_earlier"] == 100
    assert 0 < labels["excluded"]["request_not_used"] < 100
    assert labels["in"] == labels["used"] + sum(labels["excluded"].values())


def test_the_report_says_why_no_delay_is_known(tmp_path: Path) -> None:
    config = write_late_log(tmp_path / "log", bad_days=0.003)
    path = tmp_path / "log" / "labels.csv"
    labels = pd.read_csv(path)
    labels.assign(time="2026-03-21 09:00").to_csv(path, index=False)
    assert "all labels carry one time, 2026-03-21 09:00" in joined(config)[2]
    labels.head(40).to_csv(path, index=False)
    assert "40 requests have a label, at least 50 are needed" in joined(config)[2]
    unlabelled = JoinConfig(**{**vars_of(config), "labels": ()})
    assert "How long labels take" not in joined(unlabelled)[2]


def vars_of(config: JoinConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in config.__dataclass_fields__}
