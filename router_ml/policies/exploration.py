"""Policies that explore: distributions first, draws second, so that propensities are exact."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Final

import numpy as np

from router_ml.errors import ConfigError
from router_ml.policies.base import Policy, check_trial, one_hot, rank, with_least
from router_ml.types.arrays import BoolArray, FloatArray, IntArray
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import Predictions

_NODES: Final = 48
"""Gauss–Hermite nodes of the Thompson quadrature."""
_STD_FLOOR: Final = 1e-3
"""Smallest standard error of quality: below it draws are as good as deterministic."""


class ExploringPolicy(Policy):
    r"""Base: maximise utility, explore somehow, and keep a floor under every eligible candidate.

    The floor is applied after constraints: with :math:`m` eligible candidates, each gets at least
    :math:`\min(\text{floor}, 1/m)`, so a candidate that degraded or was repriced can come back.
    A newcomer on trial gets a larger share, for a floor alone would take long to tell its worth.
    Floors that sum to more than one are scaled to one.

    Parameters
    ----------
    cost_weight : float, default=0.0
        :math:`\lambda`, quality per US dollar, >= 0.
    floor : float, default=0.0
        Least probability of every eligible candidate, in [0, 1].
    trial : mapping, optional
        Candidate to its least probability, where that is to be more than ``floor``.
    """

    def __init__(
        self,
        *,
        cost_weight: float = 0.0,
        floor: float = 0.0,
        trial: Mapping[str, float] | None = None,
    ) -> None:
        if not cost_weight >= 0.0:
            raise ConfigError(f"cost_weight must be >= 0, got {cost_weight}")
        if not 0.0 <= floor <= 1.0:
            raise ConfigError(f"floor must be in [0, 1], got {floor}")
        self.cost_weight = cost_weight
        self.floor = floor
        self.trial = check_trial(trial)

    def scores(
        self, predictions: Predictions, candidates: CandidateTable, cost_usd: FloatArray
    ) -> FloatArray:
        """Predicted utility."""
        utility: FloatArray = predictions.quality - self.cost_weight * cost_usd
        return utility

    @property
    def weights(self) -> tuple[float, float]:
        """Quality per dollar, and no weight on time."""
        return self.cost_weight, 0.0

    @property
    def reason(self) -> str:
        """Say that the draw explores."""
        return f"drawn by {self.name} around the best utility, every candidate >= {self.floor:g}"

    def _probabilities(
        self,
        predictions: Predictions,
        candidates: CandidateTable,
        cost_usd: FloatArray,
        allowed: BoolArray,
    ) -> FloatArray:
        utility = self.scores(predictions, candidates, cost_usd)
        probs = self._explore(utility, predictions, cost_usd, allowed)
        least = [max(self.floor, self.trial.get(name, 0.0)) for name in candidates.names]
        return with_least(probs, least, allowed)

    @abstractmethod
    def _explore(
        self,
        utility: FloatArray,
        predictions: Predictions,
        cost_usd: FloatArray,
        allowed: BoolArray,
    ) -> FloatArray:
        """Distribution over allowed candidates before the floor, shape (n_samples, K)."""


class EpsilonGreedyPolicy(ExploringPolicy):
    r"""The best candidate, and with probability epsilon any eligible one.

    Parameters
    ----------
    epsilon : float, default=0.05
        In [0, 1]; shared equally by all eligible candidates, the best included.
    cost_weight : float, default=0.0
        :math:`\lambda`, quality per US dollar, >= 0.
    floor : float, default=0.0
        Least probability of every eligible candidate.
    trial : mapping, optional
        Candidate to its least probability, where that is to be more than ``floor``.

    Raises
    ------
    ConfigError
        If an argument is out of range.

    References
    ----------
    .. [1] Sutton and Barto, "Reinforcement Learning", 2nd edition, 2018, section 2.2.

    Examples
    --------
    >>> import numpy as np
    >>> import router_ml as rm
    >>> from router_ml.types.candidates import CandidateTable
    >>> from router_ml.types.predictions import Predictions
    >>> table = CandidateTable.from_prices({"small": (0.15, 0.6), "large": (3.0, 15.0)})
    >>> tokens = np.full((1, 2), 100.0)
    >>> predictions = Predictions(np.array([[0.7, 0.9]]), tokens, tokens, tokens)
    >>> rm.EpsilonGreedy(epsilon=0.1).action_probs(predictions, table).round(3).tolist()
    [[0.05, 0.95]]
    """

    name: ClassVar[str] = "epsilon_greedy"

    def __init__(
        self,
        *,
        epsilon: float = 0.05,
        cost_weight: float = 0.0,
        floor: float = 0.0,
        trial: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(cost_weight=cost_weight, floor=floor, trial=trial)
        if not 0.0 <= epsilon <= 1.0:
            raise ConfigError(f"epsilon must be in [0, 1], got {epsilon}")
        self.epsilon = epsilon

    def _explore(
        self,
        utility: FloatArray,
        predictions: Predictions,
        cost_usd: FloatArray,
        allowed: BoolArray,
    ) -> FloatArray:
        best = one_hot(rank(utility, cost_usd, allowed)[:, 0], allowed.shape)
        spread = allowed / allowed.sum(axis=1, keepdims=True)
        probs: FloatArray = (1.0 - self.epsilon) * best + self.epsilon * spread
        return probs


class BoltzmannPolicy(ExploringPolicy):
    r"""Softmax of predicted utility.

    .. math:: \pi_{ik} \propto \exp(u_{ik} / \tau)

    Parameters
    ----------
    temperature : float, default=0.02
        :math:`\tau` in units of utility, > 0; a candidate one temperature worse is chosen 2.7 times
        less often.
    cost_weight : float, default=0.0
        :math:`\lambda`, quality per US dollar, >= 0.
    floor : float, default=0.0
        Least probability of every eligible candidate.
    trial : mapping, optional
        Candidate to its least probability, where that is to be more than ``floor``.

    Raises
    ------
    ConfigError
        If an argument is out of range.

    References
    ----------
    .. [1] Sutton and Barto, "Reinforcement Learning", 2nd edition, 2018, section 2.8.

    Examples
    --------
    >>> import numpy as np
    >>> import router_ml as rm
    >>> from router_ml.types.candidates import CandidateTable
    >>> from router_ml.types.predictions import Predictions
    >>> table = CandidateTable.from_prices({"small": (0.15, 0.6), "large": (3.0, 15.0)})
    >>> tokens = np.full((1, 2), 100.0)
    >>> predictions = Predictions(np.array([[0.8, 0.9]]), tokens, tokens, tokens)
    >>> rm.Boltzmann(temperature=0.1).action_probs(predictions, table).round(3).tolist()
    [[0.269, 0.731]]
    """

    name: ClassVar[str] = "boltzmann"

    def __init__(
        self,
        *,
        temperature: float = 0.02,
        cost_weight: float = 0.0,
        floor: float = 0.0,
        trial: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(cost_weight=cost_weight, floor=floor, trial=trial)
        if not temperature > 0.0:
            raise ConfigError(f"temperature must be > 0, got {temperature}")
        self.temperature = temperature

    def _explore(
        self,
        utility: FloatArray,
        predictions: Predictions,
        cost_usd: FloatArray,
        allowed: BoolArray,
    ) -> FloatArray:
        usable = allowed & ~np.isnan(utility)
        # A row whose every prediction is NaN falls back to all that is allowed.
        usable = np.where(usable.any(axis=1, keepdims=True), usable, allowed)
        logit = np.where(usable, np.nan_to_num(utility) / self.temperature, -np.inf)
        odds = np.exp(logit - logit.max(axis=1, keepdims=True))
        probs: FloatArray = odds / odds.sum(axis=1, keepdims=True)
        return probs


class ThompsonPolicy(ExploringPolicy):
    r"""Choose each candidate with the probability that it is the best, given what is not known.

    Quality of candidate k is taken as Gaussian with mean and standard error as predicted,
    independent between candidates. Then

    .. math:: \pi_{ik} = \int \varphi(z) \prod_{j \ne k}
              \Phi\Big(\frac{u_{ik} + \sigma_{ik} z - u_{ij}}{\sigma_{ij}}\Big)\,dz

    by Gauss–Hermite quadrature, normalised. The draw is made from these numbers, so they are the
    propensities exactly, however well the quadrature meets the integral.

    Parameters
    ----------
    scale : float, default=1.0
        Multiplies the standard errors, > 0; more explores more.
    cost_weight : float, default=0.0
        :math:`\lambda`, quality per US dollar, >= 0.
    floor : float, default=0.0
        Least probability of every eligible candidate.
    std : mapping of candidate to standard error, optional
        Taken where predictions carry no ``quality_std``: how well the log knows each candidate's
        mean quality, which training fills in. A candidate that is not named is drawn as ``1.0``.
    trial : mapping, optional
        Candidate to its least probability, where that is to be more than ``floor``.

    Raises
    ------
    ConfigError
        On use, if there is neither ``quality_std`` nor ``std``.

    Examples
    --------
    >>> table = CandidateTable.from_prices({"small": (0.15, 0.6), "large": (3.0, 15.0)})
    >>> tokens = np.full((1, 2), 100.0)
    >>> quality, std = np.array([[0.8, 0.9]]), np.array([[0.1, 0.1]])
    >>> predictions = Predictions(quality, tokens, tokens, tokens, std)
    >>> ThompsonPolicy().action_probs(predictions, table).round(2).tolist()
    [[0.24, 0.76]]
    """

    name: ClassVar[str] = "thompson"

    def __init__(
        self,
        *,
        scale: float = 1.0,
        cost_weight: float = 0.0,
        floor: float = 0.0,
        std: Mapping[str, float] | None = None,
        trial: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(cost_weight=cost_weight, floor=floor, trial=trial)
        if not scale > 0.0:
            raise ConfigError(f"scale must be > 0, got {scale}")
        self.scale = scale
        self.std = dict(std or {})

    def action_probs(
        self,
        predictions: Predictions,
        candidates: CandidateTable,
        *,
        eligible: BoolArray | None = None,
    ) -> FloatArray:
        """See :meth:`Policy.action_probs`."""
        return super().action_probs(
            self._with_std(predictions, candidates), candidates, eligible=eligible
        )

    def decide(
        self,
        predictions: Predictions,
        candidates: CandidateTable,
        cost_usd: FloatArray,
        allowed: BoolArray,
    ) -> tuple[FloatArray, IntArray]:
        """See :meth:`Policy.decide`."""
        return super().decide(
            self._with_std(predictions, candidates), candidates, cost_usd, allowed
        )

    def _with_std(self, predictions: Predictions, candidates: CandidateTable) -> Predictions:
        """Predictions with standard errors, of their own or of the candidates."""
        if predictions.quality_std is not None or not self.std:
            return predictions
        row = np.array([self.std.get(name, 1.0) for name in candidates.names])
        return replace(predictions, quality_std=np.broadcast_to(row, predictions.quality.shape))

    def _explore(
        self,
        utility: FloatArray,
        predictions: Predictions,
        cost_usd: FloatArray,
        allowed: BoolArray,
    ) -> FloatArray:
        if predictions.quality_std is None:
            raise ConfigError(
                "ThompsonPolicy needs quality_std in predictions, or std by candidate, which "
                "training fills in (policy: {name: thompson}); or use epsilon_greedy or boltzmann"
            )
        std = np.maximum(self.scale * np.nan_to_num(predictions.quality_std), _STD_FLOOR)
        # Far below every other: a NaN prediction is never the best, nor stands in a rival's way.
        mean = np.where(allowed, np.nan_to_num(utility, nan=-1e6), -1e9)
        node, weight = np.polynomial.hermite_e.hermegauss(_NODES)
        probs = np.empty(mean.shape)
        for k in range(mean.shape[1]):
            draw = mean[:, k, None] + std[:, k, None] * node
            beaten = _normal_cdf((draw[:, :, None] - mean[:, None, :]) / std[:, None, :])
            beaten[:, :, k] = 1.0
            probs[:, k] = np.prod(beaten, axis=2) @ weight
        probs = np.where(allowed, probs, 0.0)
        total = probs.sum(axis=1, keepdims=True)
        best = one_hot(rank(utility, cost_usd, allowed)[:, 0], allowed.shape)
        # Nodes can all miss a step between nearly deterministic rivals; then the best is the best.
        return np.where(total > 1e-12, probs / np.maximum(total, 1e-12), best)


def _normal_cdf(x: FloatArray) -> FloatArray:
    """Standard normal distribution function, absolute error below 1e-7.

    Abramowitz and Stegun, formula 26.2.17; numpy has no error function, and serving has no scipy.
    """
    t = 1.0 / (1.0 + 0.2316419 * np.abs(x))
    series = t * (
        0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429)))
    )
    tail = np.exp(-0.5 * np.minimum(x * x, 1400.0)) / np.sqrt(2.0 * np.pi) * series
    value: FloatArray = np.where(x >= 0, 1.0 - tail, tail)
    return value
