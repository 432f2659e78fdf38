"""Time of a decision: ours inside LiteLLM, next to what decides elsewhere, in one run.

Runs in LiteLLM's environment::

    python -m pipelines.benchmarks.litellm_latency --bundle runs/export/bundle --url http://…:8080 \
        --semantic-python semantic/bin/python --sentence .cache/encoders/sentence-…

Every prompt is decided by every contender in turn, in an order that changes, so that a busy machine
slows all of them; ratios are to LiteLLM's heuristic. ``--url`` is a scoring service of the bundle.
Others: LiteLLM's complexity router; its auto router, which asks a decision model over HTTP (our
service, and a stand-in whose model takes 0 or 23 ms, the fastest that is published); and, in a
process of an environment that has ``semantic-router``, that router with MiniLM.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipelines.benchmarks.peers import decision_model, semantic_worker
from router_ml.bundle.files import read_bundle

Decide = Callable[[list[dict[str, str]]], Awaitable[object]]
_TEXT: Final = """
Write a function that sorts a list of trains by their time of arrival, and prove that it ends.
Translate the result into French. What is the weather in Rome? Explain step by step.
"""
_RESAMPLES: Final = 500
_TIERS: Final = ("SIMPLE", "MEDIUM", "COMPLEX", "REASONING")


def main() -> None:
    """Measure, and print JSON in the schema of benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--semantic-python", help="interpreter that has semantic-router")
    parser.add_argument("--sentence", type=Path, help="folder of a sentence encoder of ours")
    parser.add_argument("--prompts", type=int, default=1_000)
    given = parser.parse_args()
    with ExitStack() as stack:
        models = [stack.enter_context(decision_model(service_ms=ms)) for ms in (0.0, 23.0)]
        contenders = _contenders(given.bundle, given.url, *models)
        if given.semantic_python:
            worker = stack.enter_context(semantic_worker(given.semantic_python, given.sentence))
            contenders["semantic_router_minilm"] = worker
        times = asyncio.run(measure(contenders, prompts(given.prompts)))
    sys.stdout.write(json.dumps(report(times), indent=1) + "\n")


def prompts(n: int, *, random_state: int = 0) -> list[list[dict[str, str]]]:
    """Chats of one message, 10 to 200 words long."""
    rng, words = random.Random(random_state), _TEXT.split()
    return [
        [{"role": "user", "content": " ".join(rng.choices(words, k=rng.randint(10, 200)))}]
        for _ in range(n)
    ]


async def measure(
    contenders: Mapping[str, Decide], chats: Sequence[list[dict[str, str]]], *, warm: int = 20
) -> dict[str, list[float]]:
    """Milliseconds of every decision, by contender."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    rng = random.Random(1)
    for i, chat in enumerate(chats):
        for name in rng.sample(list(contenders), len(contenders)):
            begun = time.perf_counter()
            own_ms = await contenders[name](chat)  # of another process, which took its own time
            took_ms = (time.perf_counter() - begun) * 1e3
            if i >= warm:
                times[name].append(own_ms if isinstance(own_ms, float) else took_ms)
    return times


def report(times: Mapping[str, Sequence[float]], *, random_state: int = 0) -> dict[str, Any]:
    """Median, 99th percentile and ratio of medians to ``litellm_heuristic``, 95 % bootstrap."""
    rng = np.random.default_rng(random_state)
    base = np.array(times["litellm_heuristic"])
    methods: dict[str, Any] = {}
    for name, values in times.items():
        own = np.array(values)
        rows = rng.integers(0, len(own), (_RESAMPLES, len(own)))
        medians, of_base = np.median(own[rows], axis=1), np.median(base[rows], axis=1)
        methods[name] = {
            "median_ms": _estimate(np.median(own), medians, len(own)),
            "p99_ms": _estimate(
                np.percentile(own, 99), np.percentile(own[rows], 99, axis=1), len(own)
            ),
            "ratio": _estimate(np.median(own) / np.median(base), medians / of_base, len(own)),
        }
    return {"workloads": {"litellm_decision": {"methods": methods}}}


def _estimate(value: Any, draws: Any, n: int) -> dict[str, float]:
    low, high = np.percentile(draws, [2.5, 97.5])
    numbers = {"value": value, "low": low, "high": high}
    return {name: round(float(number), 4) for name, number in numbers.items()} | {"n": n}


def _contenders(bundle: Path, url: str, at_once: str, in_23_ms: str) -> dict[str, Decide]:
    import litellm

    from router_ml.integrations.litellm.callbacks import RouterClassifier, RouterHook
    from router_ml.integrations.litellm.deciders import BundleDecider, Decider, ServiceDecider

    names = read_bundle(bundle).candidates.names[:4]
    tiers = dict(zip(_TIERS, names, strict=False))
    of_tier = {name: tier for tier, name in tiers.items()}
    service, local = ServiceDecider(url=url, timeout_s=5.0), BundleDecider(bundle)

    def auto(name: str, **config: Any) -> dict[str, Any]:
        params = {
            "model": "auto_router/complexity_router",
            "complexity_router_config": {"tiers": tiers, **config},
            "complexity_router_default_model": names[0],
        }
        return {"model_name": name, "litellm_params": params}

    def asked(address: str) -> dict[str, Any]:
        given = {"provider": "jev", "api_key": "sk-none", "timeout_ms": 30_000}
        return {
            "classifier_type": "oss_classifier",
            "tier_labels": tiers,  # asked for by the candidates' own names
            "opensource_classifier_config": given | {"api_base": address},
        }

    def plugin(decider: Decider) -> dict[str, Any]:
        classifier = RouterClassifier(decider=decider, tiers=of_tier)
        return {"classifier_type": "custom", "classifier_plugin": classifier}

    groups = [
        {"model_name": name, "litellm_params": {"model": f"openai/{name}", "api_key": "sk-none"}}
        for name in names
    ]
    router = litellm.Router(
        model_list=[
            *groups,
            auto("heuristic"),
            auto("plugin-service", **plugin(service)),
            auto("plugin-bundle", **plugin(local)),
            auto("asks-service", **asked(url)),
            auto("asks-at-once", **asked(at_once)),
            auto("asks-23-ms", **asked(in_23_ms)),
        ]
    )

    def native(model: str) -> Decide:
        async def decide(chat: list[dict[str, str]]) -> object:
            return await router.async_pre_routing_hook(
                model=model, request_kwargs={}, messages=chat
            )

        return decide

    def hooked(decider: Decider) -> Decide:
        hook = RouterHook(decider=decider)

        async def decide(chat: list[dict[str, str]]) -> object:
            return await hook.async_pre_call_hook(
                None, None, {"model": "auto", "messages": chat}, "completion"
            )

        return decide

    return {
        "litellm_heuristic": native("heuristic"),
        "plugin_bundle": native("plugin-bundle"),
        "plugin_service": native("plugin-service"),
        "hook_bundle": hooked(local),
        "hook_service": hooked(service),
        "auto_router_service": native("asks-service"),
        "auto_router_stand_in_0_ms": native("asks-at-once"),
        "auto_router_stand_in_23_ms": native("asks-23-ms"),
    }


if __name__ == "__main__":
    main()
