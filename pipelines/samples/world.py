"""The few hundred requests that every sample holds, in another format each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np

from router_ml.data.synthetic import SyntheticLog, SyntheticQueries, SyntheticWorld
from router_ml.data.synthetic_log import written_answers
from router_ml.types.candidates import CandidateTable

START: Final = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
MEAN_GAP_S: Final = 240.0
N_QUERIES: Final = 450
N_REQUESTS: Final = 750
N_CANDIDATES: Final = 3
TOOL_SHARE: Final = 0.2
EXPLORED: Final = 0.6
"""Share of requests that the logging policy sends anywhere, so that a log this small can judge."""
SEED: Final = 11


@dataclass(frozen=True, slots=True)
class Request:
    """One request: what was asked, who answered, what that took.

    Parameters
    ----------
    number : from 0
    time : when it was asked, UTC
    latency_s : seconds
    label : whether a checker found the answer right, 0 or 1; ``None`` unlabelled
    thumb : -1 or 1 by a user; ``None`` without one
    """

    number: int
    time: datetime
    text: str
    tools: tuple[dict[str, Any], ...]
    user: str
    candidate: str
    answer: str
    input_tokens: int
    output_tokens: int
    latency_s: float
    cost_usd: float
    propensities: Mapping[str, float]
    label: int | None
    thumb: int | None

    @property
    def request_id(self) -> str:
        """As every format has it."""
        return f"req-{self.number:04d}"

    @property
    def end(self) -> datetime:
        """When the answer was there."""
        return self.time + timedelta(seconds=self.latency_s)

    @property
    def label_time(self) -> datetime:
        """When it was judged."""
        return self.end + timedelta(minutes=7)


@dataclass(frozen=True, slots=True)
class SampleWorld:
    """Requests, and the truth that they were drawn from; ``answers`` are n rows of K texts."""

    requests: tuple[Request, ...]
    answers: list[list[str]]
    queries: SyntheticQueries
    candidates: CandidateTable


def sample_world() -> SampleWorld:
    """The same world every time.

    Examples
    --------
    >>> world = sample_world()
    >>> len(world.requests), world.candidates.names
    (750, ('atlas-nano', 'atlas-medium', 'delta-max'))
    """
    world = SyntheticWorld(n_candidates=N_CANDIDATES, tool_share=TOOL_SHARE, random_state=0)
    seeds = np.random.SeedSequence(SEED).generate_state(3)
    queries = world.sample(N_QUERIES, random_state=int(seeds[0]))
    rules = world.behavior_probs(queries, "covariate")
    log = world.log(
        queries,
        n_requests=N_REQUESTS,
        behavior=EXPLORED / N_CANDIDATES + (1.0 - EXPLORED) * rules,
        label_share=0.8,
        random_state=int(seeds[1]),
    )
    rng = np.random.default_rng(seeds[2])
    arrival_s = np.cumsum(rng.exponential(MEAN_GAP_S, size=N_REQUESTS))
    truth = queries.quality[log.query, log.action]
    pressed = rng.random(N_REQUESTS) < np.where(truth == 1.0, 0.5, 0.7)
    thumbs = np.where(rng.random(N_REQUESTS) < 0.1, 1 - truth, truth)
    answers = written_answers(queries, rng)
    requests = tuple(
        _request(i, world.candidates, queries, log, float(arrival_s[i]),
                 int(2 * thumbs[i] - 1) if pressed[i] else None, answers)
        for i in range(N_REQUESTS)
    )  # fmt: skip
    return SampleWorld(requests, answers, queries, world.candidates)


def function(name: str, description: str) -> dict[str, Any]:
    """A tool as OpenAI's API takes it."""
    parameters = {"type": "object", "properties": {"input": {"type": "string"}}}
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters},
    }


def _request(
    i: int,
    candidates: CandidateTable,
    queries: SyntheticQueries,
    log: SyntheticLog,
    arrival_s: float,
    thumb: int | None,
    answers: list[list[str]],
) -> Request:
    q, k = int(log.query[i]), int(log.action[i])
    tokens = queries.input_tokens[q, k], queries.output_tokens[q, k]
    quality = log.quality[i]
    return Request(
        number=i,
        time=START + timedelta(seconds=round(arrival_s, 3)),
        text=queries.text[q],
        tools=tuple(function(*tool) for tool in queries.tools[q]),
        user=f"user-{int(queries.group_id[q]) % 40:02d}",
        candidate=candidates.names[k],
        answer=answers[q][k],
        input_tokens=int(tokens[0]),
        output_tokens=int(tokens[1]),
        latency_s=round(float(queries.latency_ms[q, k]) / 1e3, 3),
        cost_usd=float(queries.cost_usd[q, k]),
        propensities={
            name: round(float(p), 4)
            for name, p in zip(candidates.names, log.action_probs[i], strict=True)
        },
        label=None if np.isnan(quality) else int(quality),
        thumb=thumb,
    )
