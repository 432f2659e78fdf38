"""A real log that is streamed says what it says in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.artifacts import EvaluationFolder
from pipelines.config import EvaluateConfig, JoinConfig, ReportConfig
from pipelines.registry.headline import headline
from pipelines.report.router_report import ReportSources, write_report
from pipelines.stages import evaluate, join
from router_ml.data.outcomes import read_outcomes
from router_ml.errors import ConfigError
from router_ml.policies.constant import ConstantPolicy
from router_ml.policies.exploration import BoltzmannPolicy
from tests.bundles import make_bundle
from tests.promotion_world import write_joined

METRICS = {
    "today": ("quality_snips", "quality_dr"),
    "router": ("quality_snips", "quality_dr", "cost_usd_dr"),
}


def told(**config: Any) -> dict[str, Any]:
    folder = EvaluationFolder(evaluate.run(EvaluateConfig(**config)))
    found: dict[str, Any] = json.loads(folder.report.read_text(encoding="utf-8"))
    return found


@pytest.mark.slow
def test_a_real_log_streamed_says_what_it_says_in_memory(shared_data: Path, tmp_path: Path) -> None:
    mix = shared_data / "mix"
    joined = join.run(
        JoinConfig(
            requests=(str(mix / "requests.jsonl.gz"),),
            labels=(str(mix / "labels.csv"),),
            prices=(str(mix / "prices.json"),),
            output=tmp_path / "joined",
            test_share=0.2,
        )
    )
    names = sorted(set(read_outcomes(joined, ["candidate_served"])["candidate_served"]))
    bundle = tmp_path / "bundle"
    make_bundle(bundle, names=names, policy=BoltzmannPolicy(temperature=0.1, cost_weight=10.0))
    same = {"bundle": bundle, "joined": joined, "margin": 0.02}
    whole = told(**same, output=tmp_path / "whole")
    streamed = told(**same, output=tmp_path / "streamed", streaming=True)
    assert streamed["rows"] == whole["rows"] > 3_000
    for policy, metrics in METRICS.items():
        for metric in metrics:
            one, other = (said["policies"][policy][metric] for said in (streamed, whole))
            width = other["high"] - other["low"]
            assert one["value"] == pytest.approx(other["value"], abs=0.1 * width), (policy, metric)
            assert one["high"] - one["low"] == pytest.approx(width, rel=0.2), (policy, metric)
    sizes = [said["effective_sample_size"]["router"] for said in (streamed, whole)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)
    paid = read_outcomes(joined, ["cost_usd", "split"]).query("split == 'test'")["cost_usd"].mean()
    assert streamed["policies"]["today"]["cost_usd_dr"]["value"] == pytest.approx(paid)
    one, other = (said["beside_today"]["quality_difference"] for said in (streamed, whole))
    width = other["high"] - other["low"]
    assert one["value"] == pytest.approx(other["value"], abs=0.1 * width)
    assert streamed["beside_today"]["verdict"] == whole["beside_today"]["verdict"]
    assert [path.name for path in (tmp_path / "streamed").iterdir()] == ["evaluation.json"]


def test_what_streaming_cannot_do_is_told(tmp_path: Path) -> None:
    joined = write_joined(tmp_path / "log", n=600)
    make_bundle(tmp_path / "unlogged", names=("candidate-0", "candidate-1", "candidate-2", "new"),
                policy=ConstantPolicy(candidate="new"))  # fmt: skip
    same = {"bundle": tmp_path / "unlogged", "joined": joined}
    whole, streamed = (
        told(**same, output=tmp_path / name, streaming=name == "streamed")
        for name in ("whole", "streamed")
    )
    for said in (whole, streamed):
        assert ": 100.0% of requests, 0 labelled rows" in said["unsupported"]["router"]
        assert said["verdict"].startswith("The router is not judged: the log cannot support")
        assert "today" in said["policies"]
        assert "router" not in said["policies"]
        assert "quality" not in headline(said)
    make_bundle(tmp_path / "bundle", policy=ConstantPolicy(candidate="candidate-1"))
    config = EvaluateConfig(
        bundle=tmp_path / "bundle", joined=joined, output=tmp_path / "b", streaming=True
    )
    evaluate.run(config)
    page = ReportConfig(bundle=config.bundle, evaluation=config.output)
    with pytest.raises(ConfigError, match="was streamed, so it has no segments"):
        write_report(tmp_path / "page.html", ReportSources(page.evaluation, page.bundle))
    with pytest.raises(ConfigError, match="streaming reads the test split of a joined log"):
        EvaluateConfig(bundle=tmp_path, output=tmp_path, streaming=True)
