from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from pipelines.benchmarks import loop_trials


def test_simulations_are_kept_and_summed_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Path | None, int]] = []

    def play(data: Path | None, seed: int, *, cache: Path) -> dict[str, float | None]:
        asked.append((data, seed))
        lost = seed != 10
        return {
            "recovered": float(seed < 9) if lost else None,
            "recovery_requests": 300.0 * (seed - 5) if lost else None,
            "regret_share_of_never_retraining": 0.1 * seed,
        }

    monkeypatch.setattr(loop_trials, "play", play)
    out = tmp_path / "loop.json"
    worlds = ("bfcl", "synthetic")
    for n in (2, 5):
        loop_trials.run(tmp_path, out, worlds=worlds, seeds=range(6, 6 + n), cache=tmp_path)
    assert len(asked) == len(set(asked)) == 10
    assert (tmp_path / "bfcl", 6) in asked
    assert (None, 6) in asked
    found = orjson.loads(out.read_bytes())["workloads"]["synthetic"]["methods"]["loop"]
    assert found["recovered"]["value"] == 0.75
    assert found["recovered_within_500"]["value"] == 0.25  # 300 of 300, 600, 900, never
    assert found["recovered_within_1000"]["value"] == 0.75
    assert found["recovered"]["n"] == 4  # in the fifth nothing was lost
    assert found["regret_share_of_never_retraining"]["value"] == pytest.approx(0.8)
