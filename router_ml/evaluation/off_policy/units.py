"""Sums over units, chunk by chunk: what estimates, intervals and gate need of any number of rows.

A unit is a group, or a bucket of groups: groups are hashed into at most ``N_UNITS`` buckets, whole,
so that buckets are as independent as groups are. Sums of buckets then take the place of rows: a
mean's cluster-robust error and a bootstrap over units are those over groups, up to the noise of an
error from 65,536 terms (0.3 %). Sums merge, so chunks may come in any order and from any process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from router_ml.errors import SchemaError
from router_ml.types.arrays import BoolArray, FloatArray, IntArray

N_UNITS: Final = 2**16


def unit_of(group_id: np.typing.NDArray[Any], n_units: int = N_UNITS) -> IntArray:
    """Bucket of every row's group, shape (n,): the same in every process and chunk.

    Parameters
    ----------
    group_id : texts or integers

    Examples
    --------
    >>> bool(unit_of(np.array(["a", "b", "a"]))[0] == unit_of(np.array(["a"]))[0])
    True
    """
    from pandas.util import hash_array  # a keyless SipHash of texts and integers, in C

    values = np.asarray(group_id)
    if values.dtype.kind in "US":
        values = values.astype(object)
    hashed = hash_array(values, categorize=False)
    bucket: IntArray = (hashed % np.uint64(n_units)).astype(np.int64)
    return bucket


class UnitSums:
    """Sums of named columns over units.

    Parameters
    ----------
    names : columns
    n_units : buckets

    Examples
    --------
    >>> sums = UnitSums(["cost_usd"], n_units=8)
    >>> sums.add({"cost_usd": np.array([1.0, 2.0, 4.0])}, np.array([0, 3, 0]))
    >>> sums["cost_usd"].tolist(), sums.n
    ([5.0, 2.0], 3)
    """

    def __init__(self, names: Sequence[str], n_units: int = N_UNITS) -> None:
        self.names = tuple(names)
        self._sums = np.zeros((len(self.names), n_units))
        self._count = np.zeros(n_units)

    @property
    def n(self) -> int:
        """Rows so far."""
        return int(self._count.sum())

    @property
    def _used(self) -> BoolArray:
        return self._count > 0

    @property
    def count(self) -> FloatArray:
        """Rows of every unit that has any, shape (n_used,)."""
        count: FloatArray = self._count[self._used]
        return count

    def __getitem__(self, name: str) -> FloatArray:
        """Sums of a column over the units that have rows, shape (n_used,)."""
        sums: FloatArray = self._sums[self.names.index(name), self._used]
        return sums

    def total(self, name: str) -> float:
        """Sum of a column over all rows."""
        return float(self[name].sum())

    def add(self, columns: Mapping[str, FloatArray], unit: IntArray) -> None:
        """Take in a chunk.

        Parameters
        ----------
        columns : float arrays, shape (n,), finite, one for every name
        unit : int array, shape (n,), of :func:`unit_of`
        """
        if set(columns) != set(self.names):
            raise SchemaError(f"columns must be {self.names}, got {tuple(columns)}")
        size = len(self._count)
        for j, name in enumerate(self.names):
            self._sums[j] += np.bincount(unit, columns[name], minlength=size)
        self._count += np.bincount(unit, minlength=size)

    def merge(self, other: UnitSums) -> None:
        """Take in what another has summed."""
        if other.names != self.names or len(other._count) != len(self._count):
            raise SchemaError("only sums of the same columns over the same units can be merged")
        self._sums += other._sums
        self._count += other._count

    def rows(self, columns: Mapping[str, float]) -> FloatArray:
        """A value a unit whose mean is that of a sum of columns over all rows, shape (n_used,).

        Linearised: its error, every unit being its own cluster, is the cluster-robust one of rows.

        Parameters
        ----------
        columns : names to their factors
        """
        count = self.count
        sums = np.sum([factor * self[name] for name, factor in columns.items()], axis=0)
        mean = sums.sum() / count.sum()
        rows: FloatArray = mean + (sums - mean * count) / count.mean()
        return rows
