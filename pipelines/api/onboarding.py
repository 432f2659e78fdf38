"""A newly released candidate: where it would win, what it takes to know, and a way to find out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any, Final

import pandas as pd

from pipelines.api import display
from pipelines.api.fitting import load
from pipelines.api.log import Log
from pipelines.api.rollout import Rollout
from pipelines.api.router import Router
from pipelines.api.sources import price_pair, read_table
from pipelines.artifacts import TrainedFolder
from pipelines.config import OnboardConfig
from router_ml.errors import ConfigError
from router_ml.evaluation.gate.gate import DEFAULT_MARGIN
from router_ml.policies.registry import from_dict

_EXPLORING: Final = ("epsilon_greedy", "boltzmann", "thompson")
_ROOM: Final = 1.1
"""Of the cheapest candidate's mean cost, for a budget in dollars that is met after retraining."""


@dataclass(frozen=True, slots=True)
class Onboarding:
    """What :func:`onboard` found.

    Parameters
    ----------
    name : of the new candidate
    labels : outcomes that are known of it
    quality : its mean quality over the log's requests, as predicted
    std : standard error of that mean
    traffic : share of requests on which the policy would choose it by what is predicted; the
        constants that a budget policy falls back on for lack of evidence are left out
    traffic_low, traffic_high : the same if its quality is two standard errors lower, or higher
    segments : a row a segment: ``kind``, ``name``, ``rows``, ``share`` (of all requests),
        ``newcomer`` (share of them that would go to it) with ``_low`` and ``_high``,
        ``quality_change`` and ``cost_usd_change`` (predicted, a request, with it minus without)
    plan : a row a question: ``question``, ``margin`` (points of quality in [0, 1]), ``labels`` of
        it, ``newcomer_requests`` (requests to explore with it), ``requests`` (of all that this
        takes), ``days`` (at the log's rate), ``cost_usd`` (of its answers) and ``extra_cost_usd``
        (of all requests, exploring minus not)
    router : chooses it as far as it is predicted to be worth it
    exploring : gives it ``share`` of the requests at least, with exact propensities

    Examples
    --------
    >>> import router_ml as rm
    >>> router = rm.fit(rm.sample_log(), estimator="linear")
    >>> found = rm.onboard(router, "new-model", price=(0.3, 1.2), card=(0.8, 0.1))
    >>> found.traffic_low <= found.traffic <= found.traffic_high
    True
    >>> found.segments.columns.tolist()[:5]
    ['kind', 'name', 'rows', 'share', 'newcomer']
    """

    name: str
    labels: int
    quality: float
    std: float
    traffic: float
    traffic_low: float
    traffic_high: float
    segments: pd.DataFrame
    plan: pd.DataFrame
    router: Router
    exploring: Router

    @property
    def text(self) -> str:
        """The answer in a sentence or two."""
        known = f"{self.labels:,} labels" if self.labels else "no label"
        return (
            f"{self.name} ({known}): quality {self.quality:.3f} ± {1.96 * self.std:.3f}; it would "
            f"get {self.traffic:.0%} of the requests, {self.traffic_low:.0%} if it is as bad as "
            f"that allows, {self.traffic_high:.0%} if it is as good"
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-able dictionary."""
        plain = ("name", "labels", "quality", "std", "traffic", "traffic_low", "traffic_high")
        return {
            **{key: getattr(self, key) for key in plain},
            "segments": self.segments.to_dict("records"),
            "plan": self.plan.to_dict("records"),
            "exploring_policy": dict(self.exploring.policy),
        }

    def save(self, folder: Path | str) -> Path:
        """Write ``onboarding.json`` and the exploring ``bundle``.

        Parameters
        ----------
        folder : made if it is not there

        Returns
        -------
        The bundle's folder, which ``router-ml serve`` takes.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        bundle = self.exploring.save(target / "bundle")
        text = json.dumps(self.as_dict(), indent=2)
        (target / "onboarding.json").write_text(text, encoding="utf-8")
        return bundle

    def __repr__(self) -> str:
        return f"Onboarding({self.text})"

    def _repr_html_(self) -> str:
        rows = [[str(cell) for cell in row] for row in self.plan.round(4).to_numpy().tolist()]
        return display.block(
            display.head(f"New candidate {self.name}"),
            display.line(self.text),
            display.table(tuple(self.plan.columns), rows),
        )


def onboard(
    router: Router,
    name: str,
    *,
    price: tuple[float, float],
    labels: pd.DataFrame | None = None,
    card: tuple[float, float] | None = None,
    log: Log | Path | str | None = None,
    share: float = 0.05,
    floor: float = 0.01,
    margin: float = 0.05,
    gate_margin: float = DEFAULT_MARGIN,
    power: float = 0.8,
    cost_weight: float | None = None,
    **options: Any,
) -> Onboarding:
    """Say where a newly released candidate would win, and how to find out.

    The router learns it by :meth:`Router.add_candidate`, a budget staying what it is in dollars,
    and everything is predicted of the log's requests. Two questions are planned for: its mean
    quality, what is believed already counting as the labels that it is worth; and the gate's
    comparison of the router with it and the router without, by the variance of the doubly robust
    difference on the log that exploring makes.

    Parameters
    ----------
    router : that does not know it
    name, price, labels, card, log, options : as :meth:`Router.add_candidate` takes them
    share : of all requests that it gets while exploring, at least, in (0, 1)
    floor : share of every other candidate while exploring, at least, in (0, 1): without it the
        router of before could not be judged on that log
    margin : difference of its mean quality that matters, > 0
    gate_margin : quality that the gate allows to be lost, > 0
    power : probability with which both are told, in (0, 1), at one-sided 2.5 %
    cost_weight : quality per dollar while exploring; default: the router's own

    Raises
    ------
    ConfigError
        If the router has no cost weight to explore with, or an argument is out of range.

    References
    ----------
    .. [1] Dudík, Langford and Li, "Doubly Robust Policy Evaluation and Learning", ICML 2011.
    .. [2] Efron and Morris, "Stein's Estimation Rule and Its Competitors: An Empirical Bayes
       Approach", JASA 68, 1973: what is believed of it before its own outcomes.

    Examples
    --------
    >>> import router_ml as rm
    >>> router = rm.fit(rm.sample_log(), estimator="linear")
    >>> found = rm.onboard(router, "new-model", price=(0.3, 1.2), card=(0.8, 0.1))
    >>> found.plan["question"].tolist()
    ['its mean quality', 'the gate: with it or without']
    >>> found.exploring.policy["trial"]
    {'atlas-medium': 0.01, 'atlas-nano': 0.01, 'delta-max': 0.01, 'new-model': 0.05}
    """
    for label, value in (("share", share), ("floor", floor), ("margin", margin),
                         ("gate_margin", gate_margin), ("power", power)):  # fmt: skip
        if not 0.0 < value < 1.0:
            raise ConfigError(f"{label} must be in (0, 1), got {value}")
    _base(router.policy, cost_weight)  # refused before anything is trained
    options.setdefault("policy", _same_dollars(router))
    wider = router.add_candidate(name, price=price, labels=labels, card=card, log=log, **options)
    trial = {**dict.fromkeys(wider.candidates.names, floor), name: share}
    exploring = wider.with_policy({**_base(wider.policy, cost_weight), "trial": trial})
    seen = Rollout.of(wider, router, exploring, router._log(log))
    std = _std(wider, name)
    reach = NormalDist().inv_cdf(0.975) * std
    at = seen.at
    low, high = (seen.shifted(wider, by)[:, at] for by in (-reach, reach))
    return Onboarding(
        name=name,
        labels=0 if labels is None else len(labels),
        quality=float(seen.quality[:, at].mean()),
        std=std,
        traffic=float(seen.new[:, at].mean()),
        traffic_low=float(low.mean()),
        traffic_high=float(high.mean()),
        segments=seen.segments(low, high),
        plan=seen.plan(std, margin, gate_margin, power),
        router=wider,
        exploring=exploring,
    )


def from_config(config: OnboardConfig) -> Onboarding:
    """The same as ``router-ml onboard`` asks for it.

    Raises
    ------
    SchemaError
        If the labels cannot be read.
    """
    if len(config.card) not in (0, 2):
        raise ConfigError(f"card must be (quality, standard error), got {config.card}")
    router = load(config.bundle, trained=config.trained, log=config.joined)
    return onboard(
        router,
        config.name,
        price=price_pair(config.name, config.price),
        labels=None if config.labels is None else read_table(config.labels),
        card=None if not config.card else (config.card[0], config.card[1]),
        share=config.explore_share,
        floor=config.floor,
        margin=config.margin,
        gate_margin=config.gate_margin,
        power=config.target_power,
        cost_weight=config.cost_weight,
        cache=config.cache,
    )


def _base(policy: Mapping[str, Any], cost_weight: float | None) -> dict[str, Any]:
    """A policy that can hold a trial: the router's own if it can, else the best utility."""
    spec = dict(policy)
    if cost_weight is None and spec["name"] in ("budget", *_EXPLORING):
        return spec
    if cost_weight is None and spec["name"] != "cost_aware":
        raise ConfigError(
            f"policy {spec['name']} has no price of quality to explore at; pass cost_weight, "
            "quality per US dollar"
        )
    own = from_dict(spec).weights[0] if cost_weight is None else cost_weight
    return {"name": "epsilon_greedy", "epsilon": 0.0, "cost_weight": own}


def _same_dollars(router: Router) -> Mapping[str, Any]:
    """The policy that was asked for, a budget in dollars: a share would be of another constant.

    Tokens are predicted anew, so a budget that only the cheapest candidate meets gets some room.
    """
    asked = dict(router.asked or router.policy)
    if asked["name"] != "budget":
        return asked
    for share in ("cost_share", "match"):
        asked.pop(share, None)
    budget_usd = float(router.policy["budget_usd"])
    if (held_out := router.held_out) is not None:
        told = held_out.predictions
        cost_usd = router.candidates.cost_usd(told.input_tokens, told.output_tokens)
        budget_usd = max(budget_usd, _ROOM * float(cost_usd.mean(axis=0).min()))
    return {**asked, "budget_usd": budget_usd}


def _std(router: Router, name: str) -> float:
    """Standard error of the newcomer's mean quality, from the training's report."""
    if router.trained is None:
        raise ConfigError(f"the training of the router with {name} is not known")
    report: dict[str, Any] = json.loads(
        TrainedFolder(router.trained).report.read_text(encoding="utf-8")
    )
    return float(report["selection"]["pooled"][name]["standard_error"])
