"""A router without a label, served by the real service, taught by its own log round by round."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from pipelines.benchmarks.loop_trials import summarise
from pipelines.config import ExportConfig, JoinConfig, TrainConfig
from pipelines.console import progress
from pipelines.encoders import get_encoder
from pipelines.service import running_service
from pipelines.simulation.traffic import play, wait_for_rows
from pipelines.simulation.world import World, default_cost_weight
from pipelines.stages import export, join, train
from pipelines.truth import PRICES, read_truth
from router_ml.data.full_information import FullInformation
from router_ml.evaluation.columns import action_probs
from router_ml.export.bundle import export_bundle
from router_ml.export.cold_start import EXPLORING, cold_start
from router_ml.policies.cost_aware import CostAwarePolicy
from router_ml.runtime.runtime import Runtime
from router_ml.types.arrays import FloatArray, IntArray

Card = Mapping[str, tuple[float, float]]

MMLU: Final[Mapping[str, float]] = {
    "claude-3-5-sonnet-20240620": 0.887,
    "claude-3-haiku-20240307": 0.752,
    "claude-3-opus-20240229": 0.868,
    "gemini-1.5-flash": 0.789,
    "gemini-1.5-pro": 0.859,
    "gpt-3.5-turbo-0125": 0.700,
    "gpt-4o-2024-05-13": 0.887,
    "gpt-4o-2024-08-06": 0.887,
    "gpt-4o-mini-2024-07-18": 0.820,
    "mistral-large-2407": 0.840,
}
"""Of the ten endpoints of ``mix``, five shots, as their vendors published it at the release: a
benchmark of other questions than those of ``mix``."""
CARD_STD: Final = 0.1
POLICY: Final = {**EXPLORING, "floor": 0.01}
SETTINGS: Final = {"LOG_TEXT": "true", "LOG_FLUSH_S": "0.05"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is played.

    Parameters
    ----------
    rounds, requests : rounds, and requests in each
    label_share : share of requests whose outcome is fed back
    """

    rounds: int = 6
    requests: int = 400
    label_share: float = 0.5


def run(
    data: Path,
    out: Path,
    *,
    cache: Path,
    seeds: Sequence[int] = (0, 1, 2),
    plan: Plan | None = None,
) -> Path:
    """Play ``mix`` from the first day on, with a card and with one that knows nothing.

    Two fifths of the prompts are never asked: every round's router is judged on them. Writes
    ``workloads.mix-10-cold-start.methods.<card>.<metric>`` with ``utility_round_<n>`` (quality
    less weighted cost, exploration included), ``greedy_round_<n>`` (the same router without it),
    and what the constants chosen by the card, in hindsight and at random have there.
    """
    plan = plan or Plan()
    truth = read_truth(data / "mix", domain="task")
    known = {name: (MMLU[name], CARD_STD) for name in truth.candidates.names}
    flat = dict.fromkeys(known, (0.5, 0.25))
    methods = {}
    for name, card in (("card", known), ("flat_card", flat)):
        rows = []
        for seed in seeds:
            with tempfile.TemporaryDirectory(prefix="cold-start-") as folder:
                rows.append(_play(truth, card, plan, seed, data / "mix", Path(folder), cache))
        methods[name] = {key: value.as_dict() for key, value in summarise(rows).items()}
    result = {"workloads": {"mix-10-cold-start": {"methods": methods}}}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2))
    return out


def _play(
    truth: FullInformation,
    card: Card,
    plan: Plan,
    seed: int,
    data: Path,
    folder: Path,
    cache: Path,
) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    groups = rng.permutation(int(truth.groups.max()) + 1)
    asked = np.isin(truth.groups, groups[: int(0.6 * len(groups))])
    traffic, kept = np.flatnonzero(asked), np.flatnonzero(~asked)
    world = World(truth=truth, random_state=seed)
    weight = default_cost_weight(truth)
    policy = {**POLICY, "cost_weight": weight}
    encoder = get_encoder(cache=cache)
    first = cold_start(truth.candidates, card, encoder, policy=policy)
    bundle = export_bundle(folder / "first", first)
    found = _constants(truth, kept, card, weight)
    decisions, rows, earned = folder / "decisions", 0, []
    with progress(f"seed {seed}", plan.rounds * plan.requests) as advance:
        for number in range(plan.rounds + 1):
            found |= _judged(Runtime.from_folder(bundle), truth, kept, weight, number)
            if number == plan.rounds:
                break
            query = rng.choice(traffic, plan.requests)
            told = rng.random(plan.requests) < plan.label_share
            settings = {
                **SETTINGS,
                "DECISION_LOG": str(decisions),
                "RANDOM_STATE": str(1000 * seed + number),
            }
            with running_service(str(bundle), settings, log=folder / "service.log") as address:
                served = play(address, truth, world.at(0), query, told,
                              prefix=f"round-{number}", advance=advance)  # fmt: skip
                rows += len(query) + int(told.sum())
                wait_for_rows(decisions, rows)
            utility = truth.quality - weight * truth.cost_usd
            earned.append(float(utility[query, served.action].mean()))
            bundle = _retrained(
                folder / f"{number:02d}", decisions, data, truth, card, policy, cache
            )
    return found | {"utility_while_learning": float(np.mean(earned))}


def _retrained(
    work: Path,
    decisions: Path,
    data: Path,
    truth: FullInformation,
    card: Card,
    policy: Mapping[str, Any],
    cache: Path,
) -> Path:
    """The next bundle, from the service's own log."""
    joined = join.run(
        JoinConfig(
            decisions=(str(decisions),), prices=(str(data / PRICES),), output=work / "joined"
        )
    )
    trained = train.run(
        TrainConfig(
            joined=joined,
            output=work / "trained",
            quality={"name": "card", "card": {name: list(pair) for name, pair in card.items()}},
            candidates=truth.candidates.names,
            policy=policy,
            cache=cache,
        )
    )
    return export.run(
        ExportConfig(trained=trained, joined=joined, output=work / "export", parity_queries=100)
    )


def _judged(
    runtime: Runtime, truth: FullInformation, rows: IntArray, weight: float, number: int
) -> dict[str, float]:
    """What a router is worth on prompts that nobody asked."""
    part = truth.take(rows)
    utility = part.quality - weight * part.cost_usd
    predictions = runtime.predict(part.queries)
    served = action_probs(runtime, predictions, part.candidates.names)
    columns = [part.candidates.index(name) for name in runtime.candidates.names]
    greedy: FloatArray = np.zeros(utility.shape)
    greedy[:, columns] = CostAwarePolicy(cost_weight=weight).action_probs(
        predictions, runtime.candidates
    )
    return {
        f"utility_round_{number}": float((served * utility).sum(axis=1).mean()),
        f"greedy_round_{number}": float((greedy * utility).sum(axis=1).mean()),
        f"quality_round_{number}": float((greedy * part.quality).sum(axis=1).mean()),
        f"cost_usd_round_{number}": float((greedy * part.cost_usd).sum(axis=1).mean()),
    }


def _constants(
    truth: FullInformation, rows: IntArray, card: Card, weight: float
) -> dict[str, float]:
    """Constants that the card and hindsight would choose, and a random one."""
    utility = (truth.quality - weight * truth.cost_usd)[rows].mean(axis=0)
    believed = np.array([card[name][0] for name in truth.candidates.names])
    by_card = int(np.argmax(believed - weight * truth.cost_usd.mean(axis=0)))
    return {
        "constant_by_card": float(utility[by_card]),
        "constant_in_hindsight": float(utility.max()),
        "constant_at_random": float(utility.mean()),
    }
