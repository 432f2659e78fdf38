"""Prices of long prompts, caches and tiers, and half a price."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.config import JoinConfig, load_config
from pipelines.stages.join import run
from tests.dirty_log import request
from tests.small_join import PRICES, joined, outcomes, rejected


def test_long_prompts_cost_their_tier(tmp_path: Path) -> None:
    tiers = {
        **PRICES["small"],
        "cache_read_input_token_cost": 1e-7,
        "input_cost_per_token_above_200k_tokens": 2e-6,
        "output_cost_per_token_above_200k_tokens": 8e-6,
        "cache_read_input_token_cost_above_200k_tokens": 2e-7,
        "input_cost_per_token_batches": 5e-7,
    }
    usage = {"usage_object": {"cache_read_input_tokens": 100_000}}
    tokens = {"completion_tokens": 1_000, "model": "small"}
    rows = [
        request(0, prompt_tokens=200_000, **tokens),
        request(1, prompt_tokens=300_000, **tokens),
        request(2, prompt_tokens=300_000, metadata=usage, **tokens),
        request(3, prompt_tokens=1_000, model_parameters={"service_tier": "batch"}, **tokens),
        request(4, prompt_tokens=1_000, model_parameters={"service_tier": "default"}, **tokens),
    ]
    _, found = joined(tmp_path, rows, prices={"small": tiers})
    costs = [found[f"req-{i:05d}"]["cost_usd"] for i in range(5)]
    assert costs == pytest.approx([0.204, 0.608, 0.428, 0.0045, 0.005])


def test_the_ranges_of_tiered_pricing_are_tiers(tmp_path: Path) -> None:
    ranges = [
        {"range": [0, 32_000], "input_cost_per_token": 1e-6, "output_cost_per_token": 4e-6},
        {"range": [32_000, 1e6], "input_cost_per_token": 3e-6, "output_cost_per_token": 9e-6},
    ]
    prices = {"small": {**PRICES["small"], "tiered_pricing": ranges}}
    rows = [request(0, model="small", prompt_tokens=40_000, completion_tokens=1_000)]
    _, found = joined(tmp_path, rows, prices=prices)
    assert found["req-00000"]["cost_usd"] == pytest.approx(0.129)


def test_what_a_cache_read_or_took_has_its_price(tmp_path: Path) -> None:
    price = {
        **PRICES["small"],
        "cache_creation_input_token_cost": 1.25e-6,
        "cache_read_input_token_cost": 1e-7,
        "input_cost_per_audio_token": 1e-5,
    }
    usages: list[dict[str, Any]] = [
        {"cache_creation_input_tokens": 8_000, "cache_read_input_tokens": 1_000},
        {"cache_read_input_tokens": 9_000, "prompt_tokens_details": {"cached_tokens": 0}},
        {"input_tokens_details": {"cached_tokens": 9_000}},
        {"prompt_tokens_details": {"audio_tokens": 500}},
        {"cache_creation_input_tokens": 12_000},
    ]
    rows = [
        request(i, model="small", prompt_tokens=10_000, completion_tokens=10,
                metadata={"usage_object": usage})
        for i, usage in enumerate(usages)
    ]  # fmt: skip
    report, found = joined(tmp_path, rows, prices={"small": price})
    costs = [row["cost_usd"] for row in found.values()]
    assert costs == pytest.approx([0.01114, 0.00194, 0.00194, 0.01454])
    assert rejected(report) == {"cached_exceed_input_tokens": 1}


def test_a_price_list_that_is_fed_back_keeps_its_tiers(tmp_path: Path) -> None:
    prices = {"small": {**PRICES["small"], "input_cost_per_token_above_128k_tokens": 5e-6}}
    rows = [request(0, model="small", prompt_tokens=200_000, completion_tokens=1_000)]
    _, first = joined(tmp_path, rows, prices=prices)
    kept = tmp_path / "kept.parquet"
    kept.write_bytes((tmp_path / "joined/prices.parquet").read_bytes())
    values = {"requests": str(tmp_path / "log.jsonl"), "prices": str(kept)}
    again = run(load_config(JoinConfig, overrides={**values, "output": tmp_path / "again"}))
    assert outcomes(again)[1]["req-00000"]["cost_usd"] == first["req-00000"]["cost_usd"]
    assert first["req-00000"]["cost_usd"] == pytest.approx(1.004)


def test_half_a_price_matters_only_to_who_served(tmp_path: Path) -> None:
    one_sided = {"embedder": {"input_cost_per_token": 1e-7, "mode": "embedding"}}
    report, _ = joined(tmp_path, [request(0)], prices={**PRICES, **one_sided})
    assert report["accounting"]["prices"]["excluded"] == {"not_used": 1}
    rows = [request(0), request(1, model="embedder", metadata={})]
    report, _ = joined(tmp_path, rows, prices={**PRICES, **one_sided})
    assert rejected(report, "prices") == {"missing_price": 1}
    assert rejected(report) == {"no_price": 1}
