from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

import pytest

from pipelines.config import JoinConfig, dump_config, load_config, resolved
from router_ml.errors import ConfigError

NEEDED = {"requests": "log.jsonl", "prices": "prices.json", "output": "joined"}


@dataclass(frozen=True, kw_only=True)
class Inner:
    depth: int = 1


@dataclass(frozen=True, kw_only=True)
class Job:
    name: str
    mode: Literal["fast", "best"] = "fast"
    share: float = 0.5
    steps: int = 3
    on: bool = False
    until: datetime | None = None
    inner: Inner = Inner()
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def test_unknown_keys_are_refused_with_the_valid_ones() -> None:
    with pytest.raises(ConfigError, match=r"no key labls.*valid keys: requests, prices, output"):
        load_config(JoinConfig, overrides={**NEEDED, "labls": "x.csv"})
    with pytest.raises(ConfigError, match=r"Job.inner has no key dept"):
        load_config(Job, overrides={"name": "a", "inner": {"dept": 2}})


def test_missing_keys_are_named() -> None:
    with pytest.raises(ConfigError, match="JoinConfig needs prices, output"):
        load_config(JoinConfig, overrides={"requests": "log.jsonl"})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("steps", 2.5, "Job.steps must be int, got 2.5"),
        ("steps", True, "Job.steps must be int, got True"),
        ("share", "half", "Job.share must be float, got half"),
        ("on", 1, "Job.on must be bool, got 1"),
        ("until", "tomorrow", "Job.until must be datetime, got tomorrow"),
        ("mode", "slow", "Job.mode must be one of fast, best, got slow"),
        ("ranges", [1, 5], "Job.ranges must be keys and values"),
        (
            "ranges",
            {"stars": [1, 2, 3]},
            r"Job.ranges must be tuple with 2 elements, got \[1, 2, 3\]",
        ),
    ],
)
def test_a_value_of_another_type_is_refused(key: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(Job, overrides={"name": "a", key: value})


def test_overrides_win_over_the_file_and_none_is_no_override(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("name: a\nsteps: 1e1\nshare: 1\ninner: {depth: 4}\n", encoding="utf-8")
    job = load_config(Job, path, {"name": "b", "share": None})
    assert job == Job(name="b", steps=10, share=1.0, inner=Inner(depth=4))


def test_a_resolved_config_reads_back_equal(tmp_path: Path) -> None:
    config = load_config(
        JoinConfig,
        overrides={
            **NEEDED,
            "as_of": "2026-03-01T12:00:00+02:00",
            "label_ranges": {"stars": [1, 5]},
            "request_fields": {"time": "when"},
        },
    )
    assert config.as_of == datetime(2026, 3, 1, 10)
    assert config.request_fields == {"time": ("when",)}
    dump_config(config, tmp_path / "config.yaml")
    assert load_config(JoinConfig, tmp_path / "config.yaml") == config
    assert list(resolved(config)) == list(JoinConfig.__slots__)


def test_the_shipped_join_config_loads() -> None:
    shipped = Path(__file__).parents[3] / "pipelines" / "conf" / "join.yaml"
    assert load_config(JoinConfig, shipped).label_sources[0] == "checker"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tolerance", 1.5),
        ("threads", 0),
        ("exclude", ["weekends"]),
        ("label_sources", []),
        ("label_ranges", {"stars": [1, 1]}),
    ],
)
def test_join_values_out_of_range_are_refused(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=key):
        load_config(JoinConfig, overrides={**NEEDED, key: value})


def test_unreadable_files_are_config_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read config"):
        load_config(Job, tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [", encoding="utf-8")
    with pytest.raises(ConfigError, match="is not YAML"):
        load_config(Job, tmp_path / "bad.yaml")
