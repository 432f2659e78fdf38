"""A world whose truth is known: queries, candidates, outcomes, and logs of any behaviour policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy.special import expit, ndtr, softmax

from router_ml.data.synthetic_text import CLAUSES, TOPICS, compose
from router_ml.errors import ConfigError
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.candidates import CandidateTable

Behavior = Literal["uniform", "skewed", "covariate"]
Missingness = Literal["mcar", "mar"]

FAMILIES: Final = ("atlas", "birch", "cedar", "delta")
SIZES: Final = ("nano", "mini", "small", "medium", "large", "max")
USD_PER_MTOK: Final = (0.10, 6.0)
"""Input prices of the cheapest and the dearest candidate; output costs four times as much."""
COMMON: Final = 0.7
"""Correlation between candidates of what the probabilities leave open."""


@dataclass(frozen=True, slots=True)
class SyntheticQueries:
    """Prompts with everything that is true of them; arrays of n or (n, K).

    Parameters
    ----------
    text : the prompts
    tools : names and descriptions of the tools offered with each; empty for most
    group_id : int array, shape (n,); equal for equal texts
    covariates : float array, shape (n, n_topics + 1)
        What the text shows: the topic, one-hot, and the share of hard clauses.
    quality_prob : float array, shape (n, K), the probability that an answer is right
    input_tokens, output_tokens, latency_ms, cost_usd : float arrays, shape (n, K)
        Of the answer that each candidate gives.
    quality : float array, shape (n, K), 0 or 1, drawn from ``quality_prob``: full information
    """

    text: tuple[str, ...]
    tools: tuple[tuple[tuple[str, str], ...], ...]
    group_id: IntArray
    covariates: FloatArray
    quality_prob: FloatArray
    input_tokens: FloatArray
    output_tokens: FloatArray
    latency_ms: FloatArray
    cost_usd: FloatArray
    quality: FloatArray

    def __len__(self) -> int:
        return len(self.text)


@dataclass(frozen=True, slots=True)
class SyntheticLog:
    """Partial feedback: one request a row, the outcome of the served candidate alone.

    Parameters
    ----------
    query : int array, shape (n,), row of :class:`SyntheticQueries` that was asked
    action : int array, shape (n,), candidate that served
    action_probs : float array, shape (n, K), of the behaviour policy
    quality : float array, shape (n,), NaN where no label exists
    label_prob : float array, shape (n,), probability with which the row was labelled
    """

    query: IntArray
    action: IntArray
    action_probs: FloatArray
    quality: FloatArray
    label_prob: FloatArray

    def __len__(self) -> int:
        return len(self.query)

    @property
    def propensity(self) -> FloatArray:
        """Probability of the served candidate, shape (n,)."""
        return self.action_probs[np.arange(len(self)), self.action]


class SyntheticWorld:
    r"""Candidates with prices, tastes and weaknesses, and queries that show them.

    Candidate :math:`k` answers query :math:`i` of topic :math:`t` and difficulty :math:`d` rightly
    with probability :math:`\sigma(a_k + b_{kt} - s_k d_i)`: dearer candidates have a higher ability
    :math:`a` and a lower slope :math:`s`; every topic has a specialist among the cheaper half, and
    every candidate has topics that it is poor at. So the best constant is good everywhere and best
    nowhere, and a router can win on both quality and cost. Difficulty is seen in the text only
    through the number of hard clauses, a binomial draw.

    Parameters
    ----------
    n_candidates : int, default=8
        From 2 to 24.
    tool_share : float, default=0.25
        Share of queries that come with tools.
    random_state : int, default=0
        Fixes the candidates. Queries and logs take their own seed.

    Examples
    --------
    >>> world = SyntheticWorld(n_candidates=4, random_state=0)
    >>> queries = world.sample(100, random_state=1)
    >>> queries.quality.shape
    (100, 4)
    >>> log = world.log(queries, behavior="covariate", label_share=0.5, random_state=2)
    >>> bool(np.all(log.propensity > 0))
    True
    """

    def __init__(
        self, *, n_candidates: int = 8, tool_share: float = 0.25, random_state: int = 0
    ) -> None:
        limit = len(FAMILIES) * len(SIZES)
        if not 2 <= n_candidates <= limit:
            raise ConfigError(f"n_candidates must be from 2 to {limit}, got {n_candidates}")
        if not 0.0 <= tool_share <= 1.0:
            raise ConfigError(f"tool_share must be in [0, 1], got {tool_share}")
        self.n_candidates = n_candidates
        self.tool_share = tool_share
        self.random_state = random_state
        rng = np.random.default_rng(random_state)
        size = np.linspace(0.0, 1.0, n_candidates)
        self.candidates = _candidates(size, rng)
        self._ability = 2.4 + 1.6 * size + rng.normal(0.0, 0.15, n_candidates)
        self._slope = 4.0 - 2.0 * size
        self._affinity = _affinity(n_candidates, rng)
        self._tokenizer = rng.uniform(1.2, 1.5, n_candidates)
        self._verbosity = rng.uniform(0.8, 1.3, n_candidates)
        self._first_token_ms = 150.0 + 350.0 * size
        self._ms_per_token = 4.0 + 14.0 * size

    def sample(self, n: int, *, random_state: int = 0) -> SyntheticQueries:
        """Draw ``n`` queries with every candidate's true and drawn outcome."""
        rng = np.random.default_rng(random_state)
        topic = rng.integers(len(TOPICS), size=n)
        difficulty = rng.beta(1.2, 1.8, size=n)
        hard = rng.binomial(CLAUSES, difficulty)
        text = compose(topic, hard, rng)
        tools = tuple(
            TOPICS[t].tools if offered else ()
            for t, offered in zip(topic, rng.random(n) < self.tool_share, strict=True)
        )
        logit = self._ability + self._affinity[:, topic].T - self._slope * difficulty[:, None]
        quality_prob = expit(logit)
        input_tokens, output_tokens = self._tokens(text, tools, difficulty, rng)
        return SyntheticQueries(
            text=text,
            tools=tools,
            group_id=np.unique(text, return_inverse=True)[1],
            covariates=np.column_stack([np.eye(len(TOPICS))[topic], hard / CLAUSES]),
            quality_prob=quality_prob,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            latency_ms=(self._first_token_ms + self._ms_per_token * output_tokens)
            * rng.lognormal(0.0, 0.2, size=logit.shape),
            cost_usd=self.candidates.cost_usd(input_tokens, output_tokens),
            quality=(_correlated_uniform(logit.shape, rng) < quality_prob).astype(float),
        )

    def behavior_probs(
        self, queries: SyntheticQueries, behavior: Behavior, *, floor: float = 0.02
    ) -> FloatArray:
        """Give a logging policy's action probabilities, shape (n, K), each at least ``floor / K``.

        ``skewed`` prefers cheap candidates, for every query alike; ``covariate`` sends hard queries
        to dear candidates and each topic to its own favourites, strongly.
        """
        k = self.n_candidates
        rank = np.linspace(0.0, 1.0, k)
        if behavior == "uniform":
            logit = np.zeros((len(queries), k))
        elif behavior == "skewed":
            logit = np.tile(-3.0 * rank, (len(queries), 1))
        elif behavior == "covariate":
            hard, topic = queries.covariates[:, -1], queries.covariates[:, :-1]
            favourite = np.random.default_rng(self.random_state).normal(size=(len(TOPICS), k))
            logit = 6.0 * (hard[:, None] - 0.5) * (rank - 0.5) + topic @ favourite
        else:
            raise ConfigError(f"behavior must be uniform, skewed or covariate, got {behavior!r}")
        probs: FloatArray = (1.0 - floor) * softmax(logit, axis=1) + floor / k
        return probs

    def log(
        self,
        queries: SyntheticQueries,
        *,
        behavior: Behavior | FloatArray = "covariate",
        n_requests: int | None = None,
        label_share: float = 1.0,
        missing: Missingness = "mcar",
        random_state: int = 0,
    ) -> SyntheticLog:
        """Play a behaviour policy on ``queries``.

        Parameters
        ----------
        behavior : a named policy, or action probabilities of shape (n_queries, K)
        n_requests : requests drawn with replacement; default: every query once, in order
        label_share : mean share of labelled rows, in (0, 1]
        missing : ``mar`` audits hard queries more often, and dear candidates less
        """
        if not 0.0 < label_share <= 1.0:
            raise ConfigError(f"label_share must be in (0, 1], got {label_share}")
        rng = np.random.default_rng(random_state)
        every = np.arange(len(queries))
        query = every if n_requests is None else rng.integers(len(queries), size=n_requests)
        probs = self.behavior_probs(queries, behavior) if isinstance(behavior, str) else behavior
        probs = probs[query]
        action = (rng.random((len(query), 1)) > np.cumsum(probs, axis=1)[:, :-1]).sum(axis=1)
        label_prob = np.full(len(query), label_share)
        if missing == "mar":
            tilt = 2.0 * queries.covariates[query, -1] - action / (self.n_candidates - 1)
            label_prob = np.clip(label_share * np.exp(tilt) / np.exp(tilt).mean(), 0.02, 1.0)
        labelled = rng.random(len(query)) < label_prob
        return SyntheticLog(
            query=query,
            action=action,
            action_probs=probs,
            quality=np.where(labelled, queries.quality[query, action], np.nan),
            label_prob=label_prob,
        )

    def _tokens(
        self,
        text: tuple[str, ...],
        tools: tuple[tuple[tuple[str, str], ...], ...],
        difficulty: FloatArray,
        rng: np.random.Generator,
    ) -> tuple[FloatArray, FloatArray]:
        """Input and output tokens, whole numbers of shape (n, K)."""
        words = np.array([part.count(" ") + 1.0 for part in text])
        words += np.array([30.0 * len(offered) for offered in tools])
        mean = 40.0 * np.exp(1.8 * difficulty)[:, None] * self._verbosity
        output = rng.gamma(4.0, mean / 4.0)
        return np.ceil(words[:, None] * self._tokenizer), np.ceil(output) + 1.0


def _candidates(size: FloatArray, rng: np.random.Generator) -> CandidateTable:
    """Priced candidates, cheapest first."""
    low, high = np.log(USD_PER_MTOK)
    price = np.exp(low + (high - low) * size) * rng.uniform(0.85, 1.15, len(size))
    order = np.linspace(0, len(FAMILIES) * len(SIZES) - 1, len(size)).round().astype(int)
    names = tuple(f"{FAMILIES[i % len(FAMILIES)]}-{SIZES[i // len(FAMILIES)]}" for i in order)
    return CandidateTable(
        names=names,
        input_usd_per_mtok=np.sort(price).round(3),
        output_usd_per_mtok=4.0 * np.sort(price).round(3),
        context_window=np.full(len(size), 128_000),
        max_output_tokens=np.full(len(size), 8_192),
        provider=tuple(name.split("-")[0] for name in names),
        capabilities=(frozenset({"tools"}),) * len(size),
    )


def _correlated_uniform(shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """Uniform draws that agree within a row (Gaussian copula): what fools one fools the others."""
    shared = rng.normal(size=(shape[0], 1))
    own = rng.normal(size=shape)
    uniform: FloatArray = ndtr(np.sqrt(COMMON) * shared + np.sqrt(1.0 - COMMON) * own)
    return uniform


def _affinity(n_candidates: int, rng: np.random.Generator) -> FloatArray:
    """Log-odds that a candidate gains or loses on each topic, shape (K, n_topics)."""
    affinity = rng.normal(0.0, 0.5, size=(n_candidates, len(TOPICS)))
    half = max(1, n_candidates // 2)
    for k in range(n_candidates):
        poor = rng.choice(len(TOPICS), size=len(TOPICS) // 4, replace=False)
        affinity[k, poor] -= 2.6
    served = rng.permutation(len(TOPICS))[: 4 * half]
    affinity[np.arange(len(served)) % half, served] = 2.8
    return affinity
