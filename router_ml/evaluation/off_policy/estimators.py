r"""Off-policy estimators of a policy's value: DM, IPW, SNIPS, DR and its tamed forms.

All take a log with actions :math:`a_i`, propensities :math:`p_i`, label probabilities :math:`e_i`
and outcomes :math:`y_i`, and the evaluation policy's ``action_probs`` :math:`\pi_{ik}`. Weights are
:math:`w_i = \pi_{i a_i} / (p_i e_i)`, and 0 on unlabelled rows: inverse label probability corrects
labels that are missing at random given what is logged, by the same algebra as inverse propensity.
:math:`\hat q_{ik}` are predicted outcomes, which must be cross-fitted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from router_ml.errors import ConfigError, OverlapError, SchemaError
from router_ml.evaluation.intervals import Estimate, bootstrap_ratios, cluster_mean
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.types.arrays import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class RowValues:
    """An estimator's value, row by row: a ratio of sums, so that it can be resampled.

    Parameters
    ----------
    numerator, denominator : float arrays, shape (n,); ones below for all but SNIPS
    weights : float array, shape (n,), the importance weights that were used
    group_id : int array, shape (n,)
    interval_of : row values whose interval is taken, optional
        For biased estimators: an interval of their own would not know the bias.
    """

    numerator: FloatArray
    denominator: FloatArray
    weights: FloatArray
    group_id: IntArray
    interval_of: RowValues | None = None

    @property
    def value(self) -> float:
        """The estimate of the policy's value."""
        return float(self.numerator.sum() / self.denominator.sum())

    @property
    def influence(self) -> FloatArray:
        """Row values whose mean is ``value``, shape (n,); a ratio is linearised.

        Differences of two policies' influence values are what the gate takes.
        """
        value = self.value
        rows: FloatArray = (
            value + (self.numerator - value * self.denominator) / self.denominator.mean()
        )
        return rows

    @property
    def effective_sample_size(self) -> float:
        r"""Kish's :math:`(\sum w)^2 / \sum w^2`; 0 without any weight."""
        return effective_sample_size(self.weights)

    def bootstrap(
        self, *, n_resamples: int = 1_000, confidence: float = 0.95, random_state: int = 0
    ) -> Estimate:
        """Studentised bootstrap interval by resampling groups."""
        if self.interval_of is not None:
            return self._around(
                self.interval_of.bootstrap(
                    n_resamples=n_resamples, confidence=confidence, random_state=random_state
                )
            )
        (estimate,) = bootstrap_ratios(
            self.numerator[:, None],
            self.denominator[:, None],
            group_id=self.group_id,
            n_resamples=n_resamples,
            confidence=confidence,
            random_state=random_state,
        )
        return estimate

    def wilson(self, *, low: float = 0.0, high: float = 1.0, confidence: float = 0.95) -> Estimate:
        r"""Wilson interval at the effective number of rows, for outcomes in [low, high].

        The standard error says how many unweighted rows would be as exact,
        :math:`n_e = v (1 - v) / \mathrm{se}^2` on the unit scale; it is not believed beyond the
        effective sample size of the weights, for where failures are rare and weights large, the
        few failures seen make it far too small. This is Korn and Graubard's device for surveys
        with Wilson's interval, and covers where resampling does not.

        References
        ----------
        .. [1] Korn and Graubard, "Confidence Intervals for Proportions with Small Expected Number
           of Positive Counts Estimated from Survey Data", Survey Methodology, 1998.
        """
        if self.interval_of is not None:
            other = self.interval_of.wilson(low=low, high=high, confidence=confidence)
            return self._around(other)
        value = (self.value - low) / (high - low)
        error = self.standard_error() / (high - low)
        rows = self.effective_sample_size
        if 0.0 < value < 1.0 and error > 0.0:
            rows = min(rows, value * (1.0 - value) / error**2)
        z = float(ndtri(0.5 + confidence / 2.0))
        centre = np.clip(value, 0.0, 1.0)
        scale = 1.0 + z**2 / rows
        middle = (centre + z**2 / (2.0 * rows)) / scale
        half = z / scale * np.sqrt(centre * (1.0 - centre) / rows + (z / (2.0 * rows)) ** 2)
        ends = low + (high - low) * np.array([middle - half, middle + half])
        return Estimate(self.value, float(ends[0]), float(ends[1]), len(self.numerator))

    def standard_error(self) -> float:
        """Cluster-robust standard error of ``value``."""
        return cluster_mean(self.influence, self.group_id)[1]

    def _around(self, interval: Estimate) -> Estimate:
        """Put this value into another's interval, stretched where it does not hold it."""
        low, high = min(interval.low, self.value), max(interval.high, self.value)
        return Estimate(self.value, low, high, interval.n)


def effective_sample_size(weights: FloatArray) -> float:
    r"""Kish's effective sample size, :math:`(\sum w)^2 / \sum w^2`.

    Examples
    --------
    >>> effective_sample_size(np.array([1.0, 1.0, 0.0]))
    2.0
    """
    square = float(np.sum(weights**2))
    return float(np.sum(weights)) ** 2 / square if square > 0 else 0.0


def constant_rows(log: LoggedFeedback, predicted: FloatArray) -> FloatArray:
    r"""DR row values of every constant, shape (n, K): any policy's are their mean under it.

    .. math:: \hat q_{ik} + 1[a_i = k] \frac{l_i}{p_i e_i} (y_i - \hat q_{ik})

    Parameters
    ----------
    predicted : float array, shape (n, K), cross-fitted; a column that the log never chose, or a
        choice that has no column, is left as predicted

    Examples
    --------
    >>> log = LoggedFeedback(np.array([0, 1]), np.array([0.5, 0.5]), np.array([1.0, 0.0]))
    >>> constant_rows(log, np.full((2, 2), 0.5)).tolist()
    [[1.5, 0.5], [0.5, -0.5]]
    """
    rows = predicted.astype(float)
    mine = np.flatnonzero((log.action >= 0) & (log.action < rows.shape[1]))
    served = (mine, log.action[mine])
    weight = (log.labelled / (log.propensity * log.label_prob))[mine]
    rows[served] += weight * (log.filled[mine] - rows[served])
    return rows


def direct_method(
    log: LoggedFeedback, action_probs: FloatArray, predicted: FloatArray
) -> RowValues:
    r"""DM: trust the predictions.

    .. math:: \hat V_{DM} = \frac1n \sum_i \sum_k \pi_{ik} \hat q_{ik}

    Biased by whatever the predictions get wrong; variance small.
    """
    _check_shapes(log, action_probs, predicted)
    return _plain(log, np.sum(action_probs * predicted, axis=1), log.weights(action_probs))


def ipw(log: LoggedFeedback, action_probs: FloatArray) -> RowValues:
    r"""IPW (Horvitz–Thompson): trust the propensities.

    .. math:: \hat V_{IPW} = \frac1n \sum_i w_i y_i

    Unbiased where the behaviour policy may choose whatever the evaluation policy chooses.
    """
    weights = log.weights(action_probs)
    return _plain(log, weights * log.filled, weights)


def snips(log: LoggedFeedback, action_probs: FloatArray) -> RowValues:
    r"""Self-normalised IPW (Hájek).

    .. math:: \hat V_{SNIPS} = \frac{\sum_i w_i y_i}{\sum_i w_i}

    Consistent, invariant to adding a constant to outcomes, and never outside their range.

    Raises
    ------
    OverlapError
        If no labelled row has a positive weight.

    References
    ----------
    .. [1] Swaminathan and Joachims, "The Self-Normalized Estimator for Counterfactual Learning",
       NeurIPS 2015.
    """
    weights = log.weights(action_probs)
    if not weights.any():
        raise OverlapError(
            "no labelled row was served by a candidate that this policy would choose; log some "
            "traffic on its candidates (exploration floor) or evaluate another policy"
        )
    return RowValues(weights * log.filled, weights, weights, log.group_id)


def doubly_robust(
    log: LoggedFeedback,
    action_probs: FloatArray,
    predicted: FloatArray,
    *,
    self_normalised: bool = False,
    clip: float | None = None,
    switch: float | None = None,
) -> RowValues:
    r"""DR: predictions, corrected by the weighted residuals of the log.

    .. math:: \hat V_{DR} = \frac1n \sum_i \Big[\sum_k \pi_{ik} \hat q_{ik}
              + w_i (y_i - \hat q_{i a_i})\Big]

    Consistent if either predictions or propensities are right.

    Parameters
    ----------
    self_normalised : divide the correction by :math:`\frac1n \sum_i w_i`
    clip : use :math:`\min(w_i, \text{clip})`; trades bias for variance
    switch : SWITCH [2]_: drop the correction where :math:`w_i > \text{switch}`

    References
    ----------
    .. [1] Dudík, Langford and Li, "Doubly Robust Policy Evaluation and Learning", ICML 2011.
    .. [2] Wang, Agarwal and Dudík, "Optimal and Adaptive Off-policy Evaluation in Contextual
       Bandits", ICML 2017.

    Examples
    --------
    >>> log = LoggedFeedback(np.array([0, 1]), np.array([0.5, 0.5]), np.array([1.0, 0.0]))
    >>> doubly_robust(log, np.eye(2)[[0, 0]], np.full((2, 2), 0.5)).value
    1.0
    """
    _check_shapes(log, action_probs, predicted)
    if clip is not None and switch is not None:
        raise ConfigError("give clip or switch, not both")
    weights = log.weights(action_probs)
    if clip is not None:
        weights = np.minimum(weights, clip)
    if switch is not None:
        weights = np.where(weights > switch, 0.0, weights)
    mean = weights.mean()
    scale = mean if self_normalised and mean > 0 else 1.0
    residual = log.filled - predicted[np.arange(len(log)), log.action]
    direct = np.sum(action_probs * predicted, axis=1)
    correction = weights * residual / scale
    if scale != 1.0:
        # Linearised, so that rows carry the noise of the normaliser too; its mean is zero.
        correction = correction + correction.mean() * (1.0 - weights / scale)
    return _plain(log, direct + correction, weights)


def _plain(log: LoggedFeedback, rows: FloatArray, weights: FloatArray) -> RowValues:
    return RowValues(rows, np.ones(len(log)), weights, log.group_id)


def _check_shapes(log: LoggedFeedback, action_probs: FloatArray, predicted: FloatArray) -> None:
    if action_probs.shape != predicted.shape or len(predicted) != len(log):
        raise SchemaError(
            f"action_probs and predicted must both be ({len(log)}, K), got {action_probs.shape} "
            f"and {predicted.shape}"
        )
