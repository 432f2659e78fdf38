"""Conversations under prompt caches: the switch-cost term beside always switching and pinning.

A conversation is made of prompts of ``mix``: the context grows by every question and answer, and a
provider that was asked before reads what it had from its cache. The quality of an answer is that of
the prompt alone, as it stands in ``mix``; its prompts do not refer to each other.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipelines.benchmarks.workloads import MIX, cross_validation, read_workload
from pipelines.encoders import get_encoder
from router_ml.data.full_information import FullInformation
from router_ml.data.groups import group_codes
from router_ml.estimators.specs import Spec, as_estimator
from router_ml.evaluation.intervals import Estimate, bootstrap_mean, simultaneous_means
from router_ml.features.featurizer import Featurizer
from router_ml.learning.decisions import full_training_set
from router_ml.learning.held_out import fit_router
from router_ml.policies.budget import BudgetPolicy
from router_ml.policies.cost_aware import CostAwarePolicy
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions

BASE: Final[Mapping[str, Any]] = {"name": "extra_trees", "n_trees": 40}
SHARES: Final = (0.12, 0.5, 1.0)
"""Budgets of single questions, as shares of the best constant's cost, that give cost weights."""
CONTEXTS: Final[Mapping[str, float]] = {"chat": 2_000.0, "agent": 20_000.0}
"""Tokens of system message and tools, before the first question."""
MEAN_TURNS: Final = 6.0
MOST_TURNS: Final = 20
MEAN_PAUSE_S: Final = 60.0
TTL_S: Final = 300.0
SAME_TASK: Final = 0.8
"""Probability that a turn is of the conversation's own task."""

AWARE: Final = "switch_cost"
SWITCH: Final = "always_switching"
PIN: Final = "always_pinning"


@dataclass(frozen=True, slots=True)
class CachePrices:
    """Read and write prices as multiples of the input price; ``write`` NaN = as input."""

    read: float
    write: float = float("nan")


ANTHROPIC: Final = CachePrices(read=0.1, write=1.25)
OPENAI: Final = CachePrices(read=0.5)
PRICINGS: Final[Mapping[str, Callable[[str], CachePrices | None]]] = {
    "anthropic": lambda name: ANTHROPIC,
    "openai": lambda name: OPENAI,
    "own": lambda name: (
        ANTHROPIC if name.startswith("claude") else OPENAI if name.startswith("gpt") else None
    ),
}
"""Every candidate priced like Anthropic's or OpenAI's, or each as its own provider did in 2024."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """n conversations of up to T turns.

    Parameters
    ----------
    prompts : rows of the truth, shape (n, T); -1 after the last turn
    times_s : of every turn, shape (n, T)
    """

    prompts: IntArray
    times_s: FloatArray

    @classmethod
    def make(cls, rows: IntArray, domain: tuple[str, ...], *, n: int, random_state: int) -> Traffic:
        """Draw conversations of the given rows."""
        rng = np.random.default_rng(random_state)
        tasks = np.array(domain)[rows]
        turns = np.minimum(rng.geometric(1.0 / MEAN_TURNS, n), MOST_TURNS)
        prompts = np.full((n, MOST_TURNS), -1)
        for i in range(n):
            own = rows[tasks == rng.choice(tasks)]
            same = rng.random(turns[i]) < SAME_TASK
            prompts[i, : turns[i]] = np.where(
                same, rng.choice(own, turns[i]), rng.choice(rows, turns[i])
            )
        pauses = rng.exponential(MEAN_PAUSE_S, (n, MOST_TURNS))
        return cls(prompts, np.cumsum(pauses, axis=1))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of every turn, shape (n, T); NaN after the last."""

    quality: FloatArray
    cost_usd: FloatArray
    switched: FloatArray


def priced(table: CandidateTable, of: Callable[[str], CachePrices | None]) -> CandidateTable:
    """The table with prices of caches."""
    prices = [of(name) for name in table.names]
    read = [np.nan if p is None else p.read for p in prices]
    write = [np.nan if p is None else p.write for p in prices]
    return replace(
        table,
        cached_input_usd_per_mtok=np.array(read) * table.input_usd_per_mtok,
        cache_write_usd_per_mtok=np.array(write) * table.input_usd_per_mtok,
    )


def simulate(
    truth: FullInformation,
    expected: Predictions,
    table: CandidateTable,
    traffic: Traffic,
    policy: CostAwarePolicy,
    method: str,
    *,
    system_tokens: float = 2_000.0,
) -> Outcome:
    """Play a method; ``expected`` has a row for every row of the truth."""
    n, turns = traffic.prompts.shape
    everyone, k = np.arange(n), len(table)
    allowed = np.ones((n, k), dtype=bool)
    context = np.full((n, k), system_tokens)
    cached, asked_s = np.zeros((n, k)), np.full((n, k), -np.inf)
    last = np.full(n, -1)
    quality, cost, switched = (np.full((n, turns), np.nan) for _ in range(3))
    for turn in range(turns):
        there = traffic.prompts[:, turn] >= 0
        if not there.any():
            break
        row = traffic.prompts[:, turn]
        now = traffic.times_s[:, turn, None]
        warm = np.where(now - asked_s <= TTL_S, cached, 0.0)
        guess = replace(expected.take(row), input_tokens=context + expected.input_tokens[row])
        known = warm if method == AWARE else None
        dollars = table.cost_usd(guess.input_tokens, guess.output_tokens, cached_tokens=known)
        _, ranking = policy.decide(guess, table, dollars, allowed)
        choice = np.where(last >= 0, last, ranking[:, 0]) if method == PIN else ranking[:, 0]
        if method in table.names:
            choice = np.full(n, table.index(method))
        tokens = context + truth.input_tokens[row]
        paid = table.cost_usd(tokens, truth.output_tokens[row], cached_tokens=warm)
        quality[there, turn] = truth.quality[row, choice][there]
        cost[there, turn] = paid[everyone, choice][there]
        if turn:
            switched[there, turn] = (choice != last)[there]
        cached[everyone, choice] = tokens[everyone, choice]
        asked_s[everyone, choice] = now[:, 0]
        # Everybody's next prompt holds the question and the answer that was given.
        answer = truth.output_tokens[row, choice]
        context = tokens + answer[:, None]
        last = choice
    return Outcome(quality, cost, switched)


def run(
    data: Path, out: Path, *, cache: Path, conversations: int = 1_000, base: Spec = BASE
) -> Path:
    """Write ``workloads.mix-10-<context>-<pricing>-<share>.methods.<method>.<metric>``.

    Prompts of one half train the router and give the cost weights, those of the other half make the
    conversations; then the halves change places. ``utility`` is quality less the cost weight times
    dollars, a turn. ``quality_lead``, ``cost_lead`` (dollars saved per 1,000 turns) and
    ``utility_lead`` are of the switch-cost term over each method, paired by conversation, 95 %,
    utility simultaneously over methods.
    """
    truth = read_workload(MIX, data)
    batch = Featurizer(encoder=get_encoder(cache=cache)).transform(truth.queries)
    found: dict[str, dict[str, list[tuple[Outcome, float]]]] = {}
    for fold, split in enumerate(cross_validation(truth.groups, n_folds=2)):
        router = fit_router(full_training_set(truth, batch, split.train), as_estimator(base))
        expected = router.predict(batch, truth.candidates)
        half = Traffic.make(split.test, truth.domain, n=conversations // 2, random_state=fold)
        for share in SHARES:
            weight = _cost_weight(truth, expected, split.train, share)
            policy = CostAwarePolicy(cost_weight=weight)
            for context, pricing in itertools.product(CONTEXTS, PRICINGS):
                table = priced(truth.candidates, PRICINGS[pricing])
                methods = found.setdefault(f"{MIX}-{context}-{pricing}-{share:.0%}", {})
                for method in (AWARE, SWITCH, PIN, *_constants(truth, split.train)):
                    outcome = simulate(
                        truth, expected, table, half, policy, method,
                        system_tokens=CONTEXTS[context],
                    )  # fmt: skip
                    name = "best_constant" if method in table.names else method
                    methods.setdefault(name, []).append((outcome, weight))
    workloads = {name: {"methods": _metrics(methods)} for name, methods in found.items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"workloads": workloads}, indent=1), encoding="utf-8")
    return out


def _cost_weight(
    truth: FullInformation, expected: Predictions, rows: IntArray, share: float
) -> float:
    """The cost weight that meets a share of the best constant's cost on single questions."""
    inside, table = expected.take(rows), truth.candidates
    best = int(np.argmax(truth.quality[rows].mean(axis=0)))
    budget = share * float(truth.cost_usd[rows, best].mean())
    cheapest = table.cost_usd(inside.input_tokens, inside.output_tokens).min(axis=1).mean()
    budget_usd = max(budget, 1.0001 * float(cheapest))
    return BudgetPolicy.solve(inside, table, budget_usd=budget_usd).cost_weight_high


def _constants(truth: FullInformation, rows: IntArray) -> tuple[str, ...]:
    return (truth.candidates.names[int(np.argmax(truth.quality[rows].mean(axis=0)))],)


def _metrics(methods: Mapping[str, list[tuple[Outcome, float]]]) -> dict[str, Any]:
    rows = {name: _by_turn(parts) for name, parts in methods.items()}
    groups = group_codes(next(iter(rows.values()))["conversation"])
    leads = [name for name in rows if name != AWARE]
    apart = np.stack([rows[AWARE]["utility"] - rows[name]["utility"] for name in leads], axis=1)
    together = dict(zip(leads, simultaneous_means(apart, groups), strict=True))
    table: dict[str, Any] = {}
    for name, turns in rows.items():
        cells: dict[str, Estimate] = {
            metric: bootstrap_mean(turns[metric], group_id=groups)
            for metric in ("quality", "cost_usd_per_1000", "utility")
        }
        later = ~np.isnan(turns["switched"])
        cells["switch_share"] = bootstrap_mean(turns["switched"][later], group_id=groups[later])
        if name != AWARE:
            for metric, sign in (("quality", 1.0), ("cost_usd_per_1000", -1.0)):
                gap = sign * (rows[AWARE][metric] - turns[metric])
                cells[f"{metric}_lead"] = bootstrap_mean(gap, group_id=groups)
            cells["utility_lead"] = together[name]
        table[name] = {metric: cell.as_dict() for metric, cell in cells.items()}
    return table


def _by_turn(parts: list[tuple[Outcome, float]]) -> dict[str, FloatArray]:
    """All turns that took place, one after the other."""
    columns: dict[str, list[FloatArray]] = {}
    for number, (outcome, weight) in enumerate(parts):
        there = ~np.isnan(outcome.quality)
        n, turns = there.shape
        conversation = np.repeat(np.arange(n) + number * n, turns).reshape(n, turns)
        for name, values in (
            ("quality", outcome.quality),
            ("cost_usd_per_1000", 1e3 * outcome.cost_usd),
            ("utility", outcome.quality - weight * outcome.cost_usd),
            ("switched", outcome.switched),
            ("conversation", conversation.astype(float)),
        ):
            columns.setdefault(name, []).append(values[there])
    return {name: np.concatenate(values) for name, values in columns.items()}
