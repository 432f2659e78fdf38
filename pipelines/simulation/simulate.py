"""``router-ml simulate``: the loop, closed over a world of known truth."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from pipelines.console import console, print_table, progress
from pipelines.figures import save
from pipelines.service import running_service
from pipelines.simulation.config import SimulateConfig
from pipelines.simulation.figure import loop_figure
from pipelines.simulation.ledger import LOOP, NEVER, ORACLE, Ledger
from pipelines.simulation.operator import ADDRESS, Operator, own_registry
from pipelines.simulation.retraining import Retraining
from pipelines.simulation.traffic import Served, play, wait_for_rows, wait_for_version
from pipelines.simulation.world import (
    Event,
    World,
    constants_by_utility,
    default_cost_weight,
    write_history,
)
from pipelines.truth import read_truth
from router_ml.data.synthetic_log import write_world
from router_ml.errors import ScorerUnavailableError
from router_ml.evaluation.columns import action_probs
from router_ml.policies.cost_aware import CostAwarePolicy
from router_ml.runtime.runtime import Runtime
from router_ml.types.arrays import BoolArray, FloatArray, IntArray

RESULT: Final = "loop.json"
FIGURE: Final = "loop.png"
_SETTINGS: Final = {
    "LOG_TEXT": "true",
    "LOG_FLUSH_S": "0.05",
    "POLL_INTERVAL_S": "0.5",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """A world, what a dollar weighs in it, a folder to write to, and the prompts to come."""

    world: World
    cost_weight: float
    folder: Path
    prompts: IntArray
    told: BoolArray


def run(config: SimulateConfig) -> Path:
    """Play all rounds; returns the folder written.

    Files: ``loop.json`` (all numbers), ``loop.png``, and what every stage wrote: ``decisions/``,
    ``loop/``, ``registry/``.

    Raises
    ------
    ConfigError
        If the data cannot be simulated.
    ScorerUnavailableError
        If the service does not start, follow or answer.
    """
    setting = _prepare(config)
    folder = setting.folder
    with own_registry(folder / "registry"):
        operator = Operator(config=config, folder=folder, cost_weight=setting.cost_weight)
        before = setting.world.at(-1)
        operator.announce(before)
        first = operator.cycle(before, known="the first router")
        if first is None:
            raise ScorerUnavailableError(f"the loop in {folder} trained no first router")
        setting = replace(setting, world=_eventful(config, setting, first.runtime))
        settings = {
            **_SETTINGS,
            "DECISION_LOG": str(operator.decisions.resolve()),
            "RANDOM_STATE": str(config.random_state),
        }
        with (
            running_service(ADDRESS, settings, log=folder / "service.log") as address,
            progress("requests", config.rounds * config.requests) as advance,
        ):
            ledger = _rounds(config, setting, operator, address, first, advance)
    result = {"cost_weight": setting.cost_weight, **ledger.as_dict()}
    (folder / RESULT).write_text(json.dumps(result, indent=1), encoding="utf-8")
    _print(ledger)
    path = save(loop_figure(ledger), folder / FIGURE)
    console.print(f"figure: {path}; all numbers: {folder / RESULT}", highlight=False)
    return folder


def _prepare(config: SimulateConfig) -> Setting:
    folder = config.output
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    data = config.data
    if data is None:
        n = config.history + config.rounds * config.requests
        with progress("generating the synthetic world", None):
            data = write_world(
                folder / "world", n_queries=n, n_requests=1, random_state=config.random_state
            )
    truth = read_truth(data)
    weight = config.cost_weight
    weight = default_cost_weight(truth) if weight is None else weight
    newcomer = constants_by_utility(truth, weight)[1]
    world = World(
        truth=truth,
        events=[Event(config.added_at, "added", newcomer)],
        random_state=config.random_state,
    )
    rng = np.random.default_rng(config.random_state)
    prompts = _prompts(len(truth), config.history + config.rounds * config.requests, rng)
    told = rng.random(len(prompts)) < config.label_share
    begin = config.history
    write_history(folder / "history", world, query=prompts[:begin], told=told[:begin], rng=rng)
    shape = (config.rounds, config.requests)
    return Setting(
        world, weight, folder, prompts[begin:].reshape(shape), told[begin:].reshape(shape)
    )


def _eventful(config: SimulateConfig, setting: Setting, first: Runtime) -> World:
    """The world with what is to happen: it befalls the candidates that matter most.

    Added is the second best constant, so that there is something to be found. Degraded is the
    candidate that the first router sends most requests to, so that it is hurt. Repriced is the best
    constant of those that are left.
    """
    world = setting.world
    relied = world.truth.candidates.names[
        int(_greedy(first, world, setting.cost_weight).mean(axis=0).argmax())
    ]
    used = (relied, world.events[0].candidate)
    order = constants_by_utility(world.truth, setting.cost_weight)
    repriced = next(name for name in order if name not in used)
    events = (
        *world.events,
        Event(config.degraded_at, "degraded", relied, config.kept),
        Event(config.repriced_at, "repriced", repriced, config.dearer),
    )
    eventful = World(
        truth=world.truth,
        events=events,
        random_state=config.random_state,
    )
    text = "; ".join(f"round {event.round}: {event.text}" for event in eventful.events)
    console.print(text, highlight=False)
    return eventful


def _prompts(n: int, wanted: int, rng: np.random.Generator) -> IntArray:
    """Prompts in the order they are asked: each once while there are enough, else drawn."""
    drawn: IntArray = rng.permutation(n)[:wanted] if n >= wanted else rng.integers(n, size=wanted)
    return drawn


@dataclass(slots=True)
class _Play:
    """One simulation under way: who is in service, and what was logged.

    Parameters
    ----------
    champion : in service
    rows : of the decision log so far
    """

    config: SimulateConfig
    setting: Setting
    operator: Operator
    address: str
    champion: Retraining
    ledger: Ledger
    advance: Callable[[int], None]
    rows: int = 0

    def stand(self, number: int, *, since: int = 0) -> None:
        """Enter what the champion is worth under the truth of a round."""
        probs = _served(self.champion.runtime, self.setting.world)
        self.ledger.stand(number, self.champion.version, probs, since=since)

    def cycle(self, number: int, *, known: str = "", since: int = 0) -> None:
        """One cycle of the loop; the service follows it."""
        found = self.operator.cycle(self.setting.world.at(number), known=known)
        if found is None:
            return
        self.ledger.retrained(number, found, since=since)
        if found.promoted:
            self.champion = found
            wait_for_version(self.address, found.version)
            self.stand(number, since=since)

    def serve(self, number: int) -> Served:
        """A round of requests; every so many the loop looks at what was logged."""
        query, told = self.setting.prompts[number], self.setting.told[number]
        parts = []
        for begin in range(0, len(query), self.config.cycle_requests):
            some = slice(begin, min(begin + self.config.cycle_requests, len(query)))
            parts.append(
                play(
                    self.address,
                    self.setting.world.truth,
                    self.setting.world.at(number),
                    query[some],
                    told[some],
                    prefix=f"round-{number}-{begin}",
                    advance=self.advance,
                )
            )
            self.rows += len(query[some]) + int(told[some].sum())
            wait_for_rows(self.operator.decisions, self.rows)
            self.cycle(number, since=some.stop)
        return Served(
            np.concatenate([part.query for part in parts]),
            np.concatenate([part.action for part in parts]),
            tuple(version for part in parts for version in part.version),
        )


def _rounds(
    config: SimulateConfig,
    setting: Setting,
    operator: Operator,
    address: str,
    first: Retraining,
    advance: Callable[[int], None],
) -> Ledger:
    """Serve and feed back, while the loop looks on; one round after the other."""
    world = setting.world
    never = _greedy(first.runtime, world, setting.cost_weight)
    ledger = Ledger(world=world, cost_weight=setting.cost_weight)
    playing = _Play(config, setting, operator, address, first, ledger, advance)
    wait_for_version(address, first.version)
    for number in range(config.rounds):
        if world.events_of(number):
            playing.stand(number - 1)
        playing.stand(number)
        announced = [e.text for e in world.events_of(number) if e.kind != "degraded"]
        if announced:
            operator.announce(world.at(number))
            playing.cycle(number, known="; ".join(announced))
        ledger.played(number, playing.serve(number), never)
    playing.stand(config.rounds - 1)
    return ledger


def _served(runtime: Runtime, world: World) -> FloatArray:
    """Probabilities with which a router serves every prompt, exploration included, shape (n, K)."""
    truth = world.truth
    return action_probs(runtime, runtime.predict(truth.queries), truth.candidates.names)


def _greedy(runtime: Runtime, world: World, cost_weight: float) -> FloatArray:
    """Choices of a router that need not explore, because it will never be retrained."""
    truth = world.truth
    probs = np.zeros(truth.quality.shape)
    columns = [truth.candidates.index(name) for name in runtime.candidates.names]
    policy = CostAwarePolicy(cost_weight=cost_weight)
    probs[:, columns] = policy.action_probs(runtime.predict(truth.queries), runtime.candidates)
    return probs


def _print(ledger: Ledger) -> None:
    rows = []
    total = {player: ledger.cumulative_regret(player) for player in (LOOP, NEVER)}
    for i, row in enumerate(ledger.rounds):
        rows.append(
            (
                str(row["round"]),
                *(f"{row[p]['quality']:.3f}" for p in (LOOP, NEVER, ORACLE)),
                *(f"{row[p]['cost_usd'] * 1e3:.3f}" for p in (LOOP, NEVER, ORACLE)),
                *(f"{total[p][i]:.1f}" for p in (LOOP, NEVER)),
                _gate(ledger, row["round"]),
            )
        )
    columns = ("round", "quality: loop", "first kept", "oracle", "$ per 1,000: loop", "first kept",
               "oracle", "regret so far: loop", "first kept", "versions")  # fmt: skip
    print_table(f"utility = quality - {ledger.cost_weight:.3g} $", columns, rows)
    summary = ledger.summary()
    count, share = summary["recovery_requests"], summary["regret_share_of_never_retraining"]
    said = "took next to nothing"
    if count is not None:
        recovered = "recovered" if summary["recovered"] else "had not recovered"
        said = f"quality {recovered} within {count:,.0f} requests"
    console.print(
        f"the degradation: {said}; cumulative regret is {share:.0%} of never retraining's",
        highlight=False,
    )


def _gate(ledger: Ledger, number: int) -> str:
    """What the loop did within a round; what was announced was retrained before it."""
    begin = sum(row["n"] for row in ledger.rounds[:number])
    said = []
    for row in ledger.retrainings:
        if row["round"] == number and not row["overridden"]:
            alarmed = ", alarm" if "alarm" in row["because"] else ""
            verdict = "promoted" if row["promoted"] else "refused"
            said.append(f"{row['version']} {verdict} at {row['requests'] - begin}{alarmed}")
    return "; ".join(said)
