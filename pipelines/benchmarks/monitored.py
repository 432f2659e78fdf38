"""Traffic of a trained router whose truth is known, with changes put into it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pyarrow.parquet as pq

from pipelines.config import ExportConfig, JoinConfig, TrainConfig
from pipelines.simulation.world import default_cost_weight
from pipelines.stages import export, join, train
from pipelines.truth import read_truth
from router_ml.data.full_information import FullInformation, unseen
from router_ml.data.synthetic_log import write_world
from router_ml.errors import DataError
from router_ml.evaluation.columns import action_probs
from router_ml.evaluation.segmentation import tasks
from router_ml.features.query import Query
from router_ml.monitoring.signals import Observations
from router_ml.monitoring.traffic import TrafficReference
from router_ml.runtime.runtime import Runtime
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.predictions import Predictions

Change = Literal[
    "none", "collapse", "five_points", "slide", "one_task", "one_kind", "slower", "repriced"
]
CHANGES: Final[tuple[Change, ...]] = (
    "collapse", "five_points", "slide", "one_task", "one_kind", "slower", "repriced"
)  # fmt: skip
"""``one_kind`` is of what the data's own source calls a request, which nobody tells a monitor."""
COLLAPSED: Final = 0.4
SLIDE_REQUESTS: Final = 5_000
TASK: Final = "task"
CLUSTER: Final = "cluster"
_LEAST_KIND: Final = 0.05
_START: Final = np.datetime64("2026-03-02T08:00:00", "us")
_GAP_US: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class MonitoredWorld:
    """Prompts that training has not seen, what the router predicts, and what is true of them.

    Parameters
    ----------
    predictions, probs : of N prompts and K candidates: what the bundle predicts, and with which
        probability its policy chooses
    task : of each prompt, N, by its words
    cluster : of each prompt, N, by the bundle's reference
    kind : of each prompt, N, by its source: of mix a benchmark, elsewhere the task
    relied : candidate that most requests go to, which is the one that changes
    """

    truth: FullInformation
    predictions: Predictions
    probs: FloatArray
    task: tuple[str, ...]
    cluster: tuple[str, ...]
    kind: tuple[str, ...]
    relied: int

    @property
    def names(self) -> tuple[str, ...]:
        """Of the candidates."""
        return self.truth.candidates.names

    @property
    def bad_task(self) -> str:
        """The most frequent task of those that the relied candidate serves."""
        shares = self._shares(self.task)
        return max(shares, key=shares.__getitem__)

    @property
    def bad_kind(self) -> str:
        """The least frequent kind of those that are a twentieth of what that candidate serves."""
        shares = {k: s for k, s in self._shares(self.kind).items() if s >= _LEAST_KIND}
        return min(shares, key=shares.__getitem__)

    def _shares(self, of: tuple[str, ...]) -> dict[str, float]:
        served = self.probs[:, self.relied] / self.probs[:, self.relied].sum()
        values = np.array(of)
        return {value: float(served[values == value].sum()) for value in sorted(set(of))}


def make_world(
    data: Path | None, work: Path, *, cache: Path, random_state: int = 0
) -> MonitoredWorld:
    """Join, train and export on a log, and score the prompts of its test split.

    Parameters
    ----------
    data : folder with a log and ``matrix.parquet``; ``None`` = a synthetic world
    """
    folder = data or write_world(
        work / "world", n_queries=5_000, n_requests=12_000, random_state=random_state
    )
    joined = join.run(
        JoinConfig(
            requests=(str(folder / "requests.jsonl.gz"),),
            labels=(str(folder / "labels.csv"),),
            prices=(str(folder / "prices.json"),),
            output=work / "joined",
            test_share=0.5,
            split_salt=f"monitor-{random_state}",
        )
    )
    everything = read_truth(folder)
    policy = {
        "name": "boltzmann",
        "temperature": 0.03,
        "cost_weight": default_cost_weight(everything),
        "floor": 0.01,
    }
    trained = train.run(
        TrainConfig(
            joined=joined, output=work / "trained", quality={"name": "linear"}, policy=policy,
            cache=cache,
        )
    )  # fmt: skip
    bundle = export.run(
        ExportConfig(trained=trained, joined=joined, output=work / "export", parity_queries=100)
    )
    truth = unseen(everything, joined)
    runtime = Runtime.from_folder(bundle)
    predictions = runtime.predict(truth.queries)
    probs = action_probs(runtime, predictions, truth.candidates.names)
    order = [runtime.candidates.index(name) for name in truth.candidates.names]
    ordered = Predictions(
        *(getattr(predictions, part)[:, order]
          for part in ("quality", "input_tokens", "output_tokens", "latency_ms"))
    )  # fmt: skip
    task = tuple(tasks(truth.queries))
    embedding = runtime.embeddings(truth.queries)
    if embedding is None:
        raise DataError("the bundle has no embeddings, by which its clusters are named")
    return MonitoredWorld(
        truth=truth,
        predictions=ordered,
        probs=probs,
        task=task,
        cluster=tuple(TrafficReference(runtime.manifest.reference).clusters(embedding)),
        kind=task if data is None else _sources(data, truth),
        relied=int(probs.mean(axis=0).argmax()),
    )


def _sources(data: Path, truth: FullInformation) -> tuple[str, ...]:
    """The benchmark that each prompt of mix comes from."""
    columns = pq.read_table(data / "matrix.parquet", columns=["query_id", TASK]).to_pydict()
    family = {q: task.partition("-")[0] for q, task in zip(*columns.values(), strict=True)}
    return tuple(family[q] for q in truth.query_id)


@dataclass(frozen=True, slots=True)
class Played:
    """n requests of a world: prompt, candidate, whether an outcome came, and the outcomes."""

    query: IntArray
    action: IntArray
    told: np.ndarray[tuple[int], np.dtype[np.bool_]]
    quality: FloatArray
    latency_ms: FloatArray
    input_tokens: FloatArray
    output_tokens: FloatArray
    mispriced: FloatArray
    first: int

    def time(self, rows: IntArray) -> np.ndarray[tuple[int], np.dtype[np.datetime64]]:
        """Of requests."""
        return _START + _GAP_US * (self.first + rows)


def play(
    world: MonitoredWorld,
    n: int,
    rng: np.random.Generator,
    *,
    change: Change = "none",
    first: int = 0,
    label_share: float = 0.5,
) -> Played:
    """Draw requests, of which ``change`` holds from the first on."""
    truth, relied = world.truth, world.relied
    query = rng.integers(len(truth), size=n)
    cumulative = np.cumsum(world.probs[query], axis=1)[:, :-1]
    action = (rng.random((n, 1)) > cumulative).sum(axis=1)
    mine = action == relied
    quality = truth.quality[query, action]
    latency = truth.latency_ms[query, action]
    served = world.probs[:, relied] / world.probs[:, relied].sum()
    usual = float(served @ truth.quality[:, relied])
    kept = np.ones(n)
    if change == "collapse":
        kept[mine] = COLLAPSED
    elif change == "five_points":
        kept[mine] = 1.0 - 0.05 / usual
    elif change == "slide":
        grown = np.minimum(1.0, np.arange(n) / SLIDE_REQUESTS)
        kept = np.where(mine, 1.0 - 0.1 / usual * grown, 1.0)
    elif change == "one_task":
        kept[mine & (np.array(world.task)[query] == world.bad_task)] = COLLAPSED
    elif change == "one_kind":
        kept[mine & (np.array(world.kind)[query] == world.bad_kind)] = COLLAPSED
    elif change == "slower":
        latency = np.where(mine, 2.0, 1.0) * latency
    return Played(
        query=query,
        action=action,
        told=rng.random(n) < label_share,
        quality=quality * (rng.random(n) < kept),
        latency_ms=latency,
        input_tokens=truth.input_tokens[query, action],
        output_tokens=truth.output_tokens[query, action],
        mispriced=(mine & (change == "repriced")).astype(float),
        first=first,
    )


def observations(world: MonitoredWorld, played: Played, rows: IntArray) -> list[Observations]:
    """What a monitor is told of some of the requests, signal by signal."""
    rows = rows[played.told[rows]]
    query, action = played.query[rows], played.action[rows]
    names = np.array(world.names)[action].tolist()
    guess, half = world.predictions, np.full(len(rows), 0.5)
    segments = {TASK: [world.task[q] for q in query], CLUSTER: [world.cluster[q] for q in query]}
    predicted = {
        "quality": guess.quality[query, action],
        "errors": half,
        "price": half,
        **{name: getattr(guess, name)[query, action]
           for name in ("latency_ms", "input_tokens", "output_tokens")},
    }  # fmt: skip
    observed = {
        "quality": played.quality[rows],
        "errors": np.zeros(len(rows)),
        "price": played.mispriced[rows],
        "latency_ms": played.latency_ms[rows],
        "input_tokens": played.input_tokens[rows],
        "output_tokens": played.output_tokens[rows],
    }
    time = played.time(rows)
    return [
        Observations(
            signal, time, names, predicted[signal].astype(float), observed[signal].astype(float),
            segments,
        )
        for signal in predicted
    ]  # fmt: skip


def texts(world: MonitoredWorld, played: Played, rows: IntArray) -> list[Query]:
    """What was asked, label or not."""
    return [world.truth.queries[q] for q in played.query[rows]]
