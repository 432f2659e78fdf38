"""Reading logs: every sample, frames, and errors that teach."""

from __future__ import annotations

import pandas as pd
import pytest

import router_ml as rm
from pipelines.samples.files import write_samples
from pipelines.samples.formats import JSON_LINES
from pipelines.samples.labels import LABEL_LINES
from router_ml.errors import ConfigError, SchemaError

N = 750


@pytest.mark.parametrize("name", [*JSON_LINES, "requests.parquet"])
def test_every_format_holds_the_same_requests(name: str) -> None:
    log = rm.read_log(
        rm.sample(name), labels=rm.sample("labels.csv"), prices=rm.sample("prices.json")
    )
    assert len(log) == N
    assert int(log.outcomes["quality"].notna().sum()) == 671
    assert log.cost_usd == pytest.approx(0.63625, abs=1e-4)
    assert log.outcomes["tools"].notna().sum() == 169


@pytest.mark.parametrize("name", [*LABEL_LINES, "mlflow.jsonl.gz"])
def test_every_format_of_labels_says_the_same(name: str) -> None:
    log = rm.read_log(
        rm.sample("opentelemetry.jsonl.gz"),
        labels=rm.sample(name),
        prices=rm.sample("prices.json"),
        label_sources=["checker", "human", "judge", "user"],
    )
    checked = pd.read_csv(rm.sample("labels.csv")).query("name == 'correct'")
    expected = checked.drop_duplicates("request_id").set_index("request_id")["value"]
    expected = expected[~expected.index.str.startswith("gone")]
    found = log.outcomes.set_index("request_id")["quality"].dropna()
    pd.testing.assert_series_equal(
        found.sort_index(),
        expected.astype(float).sort_index(),
        check_names=False,
        check_dtype=False,
    )


def test_the_services_own_log_is_read() -> None:
    log = rm.read_log(decisions=[str(rm.sample("decisions.jsonl.gz"))],
                      prices=rm.sample("prices.json"))  # fmt: skip
    assert len(log) == N


def test_samples_are_generated_byte_for_byte(tmp_path: pytest.TempPathFactory) -> None:
    made = write_samples(tmp_path)  # type: ignore[arg-type]
    there = rm.sample()
    for path in sorted(made.iterdir()):
        assert path.read_bytes() == (there / path.name).read_bytes(), path.name


def test_frames_are_read_as_files_are() -> None:
    log = rm.read_log(
        pd.read_parquet(rm.sample("requests.parquet")),
        labels=pd.read_csv(rm.sample("labels.csv"), parse_dates=["time"]),
        prices=rm.sample("prices.json"),
    )
    assert len(log) == N
    assert int(log.outcomes["quality"].notna().sum()) == 671


def test_a_mapping_knows_label_files_by_name(tmp_path: pytest.TempPathFactory) -> None:
    log = rm.read_log(
        rm.sample("export.csv"),
        labels=[rm.sample("thumbs.csv")],
        prices=rm.sample("prices.csv"),
        mapping=rm.sample("mapping.yaml"),
    )
    assert set(log.outcomes["label_source"].dropna()) == {"user"}


def test_an_unmapped_export_is_told_of_inspect() -> None:
    with pytest.raises(SchemaError, match=r"rm\.inspect"):
        rm.read_log(rm.sample("export.csv"), prices=rm.sample("prices.json"))


def test_what_is_neither_file_nor_frame_is_refused() -> None:
    with pytest.raises(SchemaError, match="paths or data frames, got int"):
        rm.read_log(7, prices={"a": (1.0, 1.0)})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="US dollars per million tokens"):
        rm.read_log(rm.sample("litellm.jsonl.gz"), prices={"a": 1.0})  # type: ignore[dict-item]
    with pytest.raises(ConfigError, match="no sample nothing"):
        rm.sample("nothing")


def test_a_log_shows_itself() -> None:
    shown = rm.sample_log()._repr_html_()
    for part in ("671 labelled", "atlas-nano", "What it cannot tell", "$ per 1,000"):
        assert part in shown
