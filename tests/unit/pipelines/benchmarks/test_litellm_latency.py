"""Decision times: pairs in one run, and what is reported of them."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from pipelines.benchmarks.litellm_latency import measure, prompts, report
from pipelines.benchmarks.peers import decision_model


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


def test_the_stand_in_for_a_decision_model_speaks_system_one_and_takes_its_time() -> None:
    question = {"type": "choice", "criteria": {"SIMPLE": "easy", "COMPLEX": "hard"}}
    with decision_model(service_ms=30.0) as url:
        begun = time.perf_counter()
        body = {"model": "m", "state": "Hello", "questions": {"who": question}}
        answer = httpx.post(f"{url}/v1/systemone", json=body, timeout=20).json()["answers"]["who"]
        assert time.perf_counter() - begun > 0.03
    assert (answer["choice"], sum(answer["probabilities"].values())) == ("SIMPLE", 1.0)


def test_the_time_of_another_process_is_its_own() -> None:
    async def ours(chat: list[dict[str, str]]) -> None:
        await asyncio.sleep(0)

    async def theirs(chat: list[dict[str, str]]) -> float:
        return 7.0

    times = asyncio.run(measure({"ours": ours, "theirs": theirs}, prompts(4), warm=1))
    assert times["theirs"] == [7.0] * 3
