"""Since when is it another mean? A scan for one change after another in a series."""

from __future__ import annotations

import numpy as np

from router_ml.types.arrays import FloatArray


def last_change(values: FloatArray, *, threshold: float = 4.5, min_rows: int = 15) -> int:
    r"""Row from which the mean of a series is what it is now; 0 if it never changed.

    For every split the difference of the means on both sides is taken in standard errors,

    .. math:: z_t = \frac{\bar y_{>t} - \bar y_{\le t}}{s \sqrt{1/t + 1/(n - t)}}

    and the largest is a change if it exceeds the threshold; then what lies behind it is looked at
    in the same way (binary segmentation, of which only the last segment matters).

    Parameters
    ----------
    values : shape (n,), in order of time
    threshold : standard errors. The largest of n correlated values exceeds 4.5 by chance in about
        one series of a thousand, at any length from 100 to 10,000.
    min_rows : rows that either side must have

    References
    ----------
    .. [1] Vostrikova, "Detecting disorder in multidimensional random processes", Soviet Mathematics
       Doklady, 1981.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> series = np.r_[rng.random(300) < 0.9, rng.random(60) < 0.4].astype(float)
    >>> 295 < last_change(series) < 305
    True
    """
    begin = 0
    while step := _change(values[begin:], threshold, min_rows):
        begin += step
    return begin


def _change(values: FloatArray, threshold: float, min_rows: int) -> int:
    """Split with the largest difference, 0 if none is large enough."""
    n = len(values)
    if n < 2 * min_rows or values.std() == 0.0:
        return 0
    before = np.arange(min_rows, n - min_rows + 1)
    head = np.cumsum(values)[before - 1]
    difference = (values.sum() - head) / (n - before) - head / before
    z = np.abs(difference) / (values.std() * np.sqrt(1.0 / before + 1.0 / (n - before)))
    best = int(z.argmax())
    return int(before[best]) if z[best] > threshold else 0
