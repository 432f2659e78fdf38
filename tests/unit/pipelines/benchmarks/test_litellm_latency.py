"""Decision times: pairs in one run, and what is reported of them."""

from __future__ import annotations

import asyncio

import pytest

from pipelines.benchmarks.litellm_latency import measure, prompts, report


def test_every_contender_decides_every_prompt_and_ratios_are_of_medians() -> None:
    asked: dict[str, list[str]] = {"litellm_heuristic": [], "ours": []}

    def contender(name: str, wait_s: float) -> object:
        async def decide(chat: list[dict[str, str]]) -> None:
            asked[name].append(chat[0]["content"])
            await asyncio.sleep(wait_s)

        return decide

    contenders = {"litellm_heuristic": contender("litellm_heuristic", 0.001),
                  "ours": contender("ours", 0.01)}  # fmt: skip
    chats = prompts(24)
    times = asyncio.run(measure(contenders, chats, warm=4))  # type: ignore[arg-type]
    assert asked["ours"] == asked["litellm_heuristic"] == [chat[0]["content"] for chat in chats]
    assert {len(values) for values in times.values()} == {20}
    methods = report(times)["workloads"]["litellm_decision"]["methods"]
    assert methods["litellm_heuristic"]["ratio"]["value"] == 1.0
    ratio = methods["ours"]["ratio"]
    assert ratio["low"] <= ratio["value"] <= ratio["high"]
    assert ratio["value"] > 1.5
    assert ratio["n"] == 20


def test_the_ratio_of_known_times() -> None:
    methods = report({"litellm_heuristic": [2.0] * 10, "ours": [1.0] * 10})
    assert methods["workloads"]["litellm_decision"]["methods"]["ours"]["ratio"]["value"] == (
        pytest.approx(0.5)
    )
