"""A router before there is any log: catalogue, prices, and what benchmarks say of candidates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from router_ml.errors import ConfigError
from router_ml.estimators.amounts import LOG_COLUMNS, AmountEstimator
from router_ml.estimators.base import State
from router_ml.estimators.card import CardQuality
from router_ml.estimators.router import RouterEstimator
from router_ml.export.bundle import FittedRouter
from router_ml.features.encoder import Encoder
from router_ml.features.featurizer import Featurizer
from router_ml.features.lexical import NAMES
from router_ml.learning.solve_policy import solve_policy
from router_ml.runtime.probing import PROBE_QUERIES
from router_ml.types.arrays import FloatArray
from router_ml.types.candidates import CandidateTable

CHARS_PER_TOKEN: Final = 4.0
EXPLORING: Final[Mapping[str, Any]] = {"name": "thompson", "floor": 0.02, "scale": 0.25}
"""Draws with the whole standard error cost more than they teach: rounds of a few hundred requests
share one posterior, and many candidates lie within their errors of the best. A quarter was chosen
on BFCL, where it earned 0.852 a request after four rounds, 0.5 of it 0.830 and all of it 0.814."""
_SENT: Final = ("log_history_chars", "log_tool_chars")
"""Lexical columns of what is sent: the conversation, and the tools."""


def cold_start(
    candidates: CandidateTable,
    card: Mapping[str, tuple[float, float]],
    encoder: Encoder,
    *,
    policy: Mapping[str, Any] | None = None,
    output_tokens: float | Mapping[str, float] = 300.0,
    latency_ms: float | Mapping[str, float] = 0.0,
) -> FittedRouter:
    """A router that no label has taught, ready for :func:`router_ml.export.bundle.export_bundle`.

    It routes by price and card alone, so all prompts of one length are alike to it; what it is for
    is to serve from the first day and to explore with exact propensities, so that its own log
    teaches the next one: train that with ``quality: {"name": "card", "card": ...}``.

    Parameters
    ----------
    candidates : with prices
    card : name to (quality, standard error), as :class:`router_ml.estimators.card.CardQuality`
        takes it
    encoder : that later trainings use, so that the service's speed is known from the first day
    policy : as a training takes it; default: :data:`EXPLORING`, Thompson sampling without a cost
        weight, every candidate at least 0.02. A budget needs labels for its floor and has none here
    output_tokens : mean tokens of an answer, of all candidates or by name
    latency_ms : mean time of an answer, likewise; zero = not known

    Raises
    ------
    ConfigError
        If the card is empty or wrong, or the policy cannot be solved.
    """
    if not card:
        raise ConfigError("a router without labels needs a card: {name: [quality, standard error]}")
    batch = Featurizer(encoder=encoder).transform(PROBE_QUERIES)
    unlabelled = np.full((len(batch), len(candidates)), np.nan)
    quality = CardQuality(card=card).fit(batch, unlabelled, candidates=candidates)
    router = RouterEstimator(
        quality=quality,
        input_tokens=_sent_tokens(candidates),
        output_tokens=_constant(candidates, output_tokens),
        latency_ms=_constant(candidates, latency_ms),
    )
    spec = EXPLORING if policy is None else policy
    solved, _ = solve_policy(spec, router.predict(batch, candidates), candidates, std=quality.std_)
    return FittedRouter(
        estimator=router,
        encoder=encoder,
        candidates=candidates,
        policy=solved.to_dict(),
        training={"rows": 0, "queries": 0, "labelled_cells": 0},
    )


def _sent_tokens(candidates: CandidateTable) -> AmountEstimator:
    """Characters of conversation and tools, a quarter each."""
    coef = np.array([(NAMES[i] in _SENT) / CHARS_PER_TOKEN for i in LOG_COLUMNS])
    return _amounts(candidates, np.zeros(len(candidates)), coef)


def _constant(candidates: CandidateTable, amount: float | Mapping[str, float]) -> AmountEstimator:
    """The same for every prompt."""
    given = amount if isinstance(amount, Mapping) else dict.fromkeys(candidates.names, amount)
    if lacking := [name for name in candidates.names if name not in given]:
        raise ConfigError(f"no amount of {', '.join(lacking)}; name every candidate, or one number")
    levels = np.array([given[name] for name in candidates.names], dtype=float)
    return _amounts(candidates, levels, np.zeros(len(LOG_COLUMNS)))


def _amounts(candidates: CandidateTable, levels: FloatArray, coef: FloatArray) -> AmountEstimator:
    """An estimator of amounts with these numbers, ``levels`` by candidate, ``coef`` for all."""
    k, p = len(levels), len(coef)
    return AmountEstimator.from_state(
        State(
            name=AmountEstimator.name,
            params={"link": "identity"},
            arrays={
                "low_": np.zeros(p),
                "high_": np.full(p, np.inf),
                "mean_": np.zeros(p),
                "scale_": np.ones(p),
                "intercept_": levels,
                "coef_": np.tile(coef, (k, 1)),
                "smear_": np.ones(k),
            },
            values={"candidates": list(candidates.names)},
        )
    )
