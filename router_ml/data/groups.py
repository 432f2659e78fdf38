"""Groups of equal prompts, and the folds they are kept together in: the one split rule.

``group_id`` is the hash of a query's normalised text. It is the unit of every split, fold and
bootstrap, so that no prompt ever stands on both sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from router_ml.errors import ConfigError
from router_ml.types.arrays import IntArray

N_FOLDS: Final = 5

Ids = np.typing.NDArray[Any] | Sequence[str]


def group_codes(ids: Ids) -> IntArray:
    """Integer codes from 0 of ids, shape (n,); equal ids have equal codes.

    Examples
    --------
    >>> group_codes(["b", "a", "b"]).tolist()
    [1, 0, 1]
    """
    codes: IntArray = np.unique(np.asarray(ids), return_inverse=True)[1]
    return codes


def distinct_rows(ids: Ids) -> tuple[IntArray, IntArray]:
    """First row of every distinct id in the order of ids, and the position of each row among them.

    Examples
    --------
    >>> first, code = distinct_rows(["b", "a", "b"])
    >>> first.tolist(), code.tolist()
    ([1, 0], [1, 0, 1])
    """
    _, first, code = np.unique(np.asarray(ids), return_index=True, return_inverse=True)
    return first, code


def group_folds(groups: Ids, *, n_folds: int = N_FOLDS, random_state: int = 0) -> IntArray:
    """Fold of every row, shape (n,); rows of one group share a fold, folds differ by one group.

    Raises
    ------
    ConfigError
        If there are fewer than two folds.

    Examples
    --------
    >>> folds = group_folds(np.array([7, 7, 3, 9]), n_folds=2, random_state=0)
    >>> bool(folds[0] == folds[1]), sorted(set(folds.tolist()))
    (True, [0, 1])
    """
    if n_folds < 2:
        raise ConfigError(f"n_folds must be at least 2, got {n_folds}")
    code = group_codes(groups)
    n_groups = int(code.max(initial=-1)) + 1
    fold = np.empty(n_groups, dtype=np.int64)
    order = np.random.default_rng(random_state).permutation(n_groups)
    fold[order] = np.arange(n_groups) % n_folds
    chosen: IntArray = fold[code]
    return chosen


def hash_folds(group_id: Ids, *, n_folds: int = N_FOLDS, part: int = 0) -> IntArray:
    """Fold of every row by its group's hash, shape (n,): a prompt keeps its fold in every log.

    Parameters
    ----------
    group_id : hexadecimal hashes
    part : which eight digits decide; folds by another part are independent, as nested ones must be

    Examples
    --------
    >>> hash_folds(["00000003" + "00000001"], n_folds=3, part=1).tolist()
    [1]
    """
    digits = slice(8 * part, 8 * part + 8)
    return np.array([int(str(group)[digits], 16) % n_folds for group in group_id], dtype=np.int64)


def splits(folds: IntArray) -> Iterator[tuple[IntArray, IntArray]]:
    """Rows to learn from and rows to judge, a pair for every fold that has rows.

    Rows of a negative fold are always learned from.

    Examples
    --------
    >>> [(train.tolist(), test.tolist()) for train, test in splits(np.array([0, 1, 0]))]
    [([1], [0, 2]), ([0, 2], [1])]
    """
    for fold in np.unique(folds[folds >= 0]):
        yield np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
