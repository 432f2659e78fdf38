"""A deep averaging network: token vectors learned for the task, one hidden layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from router_ml.errors import ConfigError
from router_ml.estimators.adam import Adam
from router_ml.estimators.base import spread
from router_ml.estimators.effects import Effects
from router_ml.estimators.quality import QualityEstimator
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.queries import QueryBatch, Tokens

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_EPSILON: Final = 0.01
LEXICAL_SCALE: Final = 0.1
"""Standard deviation of lexical columns, next to embeddings of unit length."""
_INPUT_DROPOUT: Final = 0.1
_LAST_RATE: Final = 0.02
"""Share of the learning rates that the last step still has; they fall linearly."""


class DeepAveragingEstimator(QualityEstimator):
    r"""Logistic network on the query's embedding and the mean of its tokens' learned vectors.

    .. math::
        h_i = \max\Bigl(0,\; x_i^\top W + \frac{1}{|T_i|}\sum_{t \in T_i} V_t + b\Bigr), \quad
        \mathrm{logit}\,\hat q_{ik} = \mathrm{logit}\,\ell_k + a_k + h_i^\top (u_0 + u_k)

    :math:`x` is the embedding with lexical columns. :math:`V` starts at zero, so that an unseen
    token is what its embedding says, and a frequent one becomes what the labels say. All
    candidates share the hidden layer and the common part :math:`u_0`; :math:`u_k` is the contrast.
    Cross-entropy, Adam, dropout of tokens and hidden units, a falling learning rate. As a graph it
    is a gather, a mean and two small matrix products.

    Parameters
    ----------
    n_hidden : int, default=256
    n_epochs : int, default=8
        Passes over the labelled queries; at least ``min_steps`` batches all the same.
    min_steps : int, default=60
    batch_size : int, default=128
        Queries a step.
    learning_rate : float, default=0.003
        Of the dense weights, at the start.
    table_rate : float, default=0.004
        Of V, at the start.
    dropout : float, default=0.5
        Share of hidden units dropped in training, in [0, 1).
    token_dropout : float, default=0.2
        Share of a query's distinct tokens dropped in training, in [0, 1).
    n_tokens : int, default=32768
        Rows of V; a token stands in row ``id mod n_tokens``.
    pad_id : int, default=0
        Id that is no word: padding, and the separator of a static encoder.
    random_state : int, default=0

    References
    ----------
    .. [1] Iyyer et al., "Deep Unordered Composition Rivals Syntactic Methods for Text
       Classification", ACL 2015.
    """

    name: ClassVar[str] = "deep_averaging"
    fitted: ClassVar[tuple[str, ...]] = (
        "mean_",
        "scale_",
        "table_",
        "hidden_",
        "bias_",
        "out_",
        "intercept_",
    )

    def __init__(
        self,
        *,
        n_hidden: int = 256,
        n_epochs: int = 8,
        min_steps: int = 60,
        batch_size: int = 128,
        learning_rate: float = 0.003,
        table_rate: float = 0.004,
        dropout: float = 0.5,
        token_dropout: float = 0.2,
        n_tokens: int = 32768,
        pad_id: int = 0,
        random_state: int = 0,
    ) -> None:
        self.n_hidden = n_hidden
        self.n_epochs = n_epochs
        self.min_steps = min_steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.table_rate = table_rate
        self.dropout = dropout
        self.token_dropout = token_dropout
        self.n_tokens = n_tokens
        self.pad_id = pad_id
        self.random_state = random_state

    def fit_effects(self, queries: QueryBatch, effects: Effects) -> None:
        """See :meth:`router_ml.estimators.quality.QualityEstimator.fit_effects`."""
        if not 0.0 <= self.dropout < 1.0 or not 0.0 <= self.token_dropout < 1.0:
            raise ConfigError(f"dropout and token_dropout must be in [0, 1), got {self!r}")
        if min(self.n_hidden, self.n_tokens, self.batch_size, self.n_epochs) < 1:
            raise ConfigError(f"sizes and n_epochs must be at least 1, got {self!r}")
        lexical = queries.lexical.astype(float)
        self.mean_, self.scale_ = lexical.mean(axis=0), spread(lexical)
        seen = effects.weight[:, 1:]
        quality = np.where(
            seen > 0, effects.level + effects.target[:, :1] + effects.target[:, 1:], 0
        )
        self._descend(
            self._dense(queries).astype(np.float32),
            self._means(queries.tokens).astype(np.float32),
            quality.astype(np.float32),
            (seen / max(seen.max(axis=0).mean(), 1e-12)).astype(np.float32),
        )

    def raw_quality(self, queries: QueryBatch) -> FloatArray:
        """See :meth:`router_ml.estimators.quality.QualityEstimator.raw_quality`."""
        hidden = self._dense(queries) @ self.hidden_.astype(float) + self.bias_
        hidden += self._means(queries.tokens) @ self.table_.astype(float)
        eta = np.maximum(hidden, 0.0) @ self.out_.astype(float)
        return _sigmoid(eta + self.intercept_)

    def _effects(self, queries: QueryBatch) -> FloatArray:
        left = self.raw_quality(queries) - self.level_
        return np.column_stack([np.zeros(len(left)), left])

    def _dense(self, queries: QueryBatch) -> FloatArray:
        """Embedding and standardised lexical columns, shape (n, p)."""
        z = np.clip((queries.lexical.astype(float) - self.mean_) / self.scale_, -3.0, 3.0)
        return np.hstack([queries.embedding.astype(float), LEXICAL_SCALE * z])

    def _means(self, tokens: Tokens) -> csr_matrix:
        """Share of every token in every query, shape (n, n_tokens)."""
        from scipy.sparse import csr_matrix

        rows = np.repeat(np.arange(len(tokens)), tokens.lengths)
        real = tokens.flat != self.pad_id
        size = np.bincount(rows[real], minlength=len(tokens))
        where = (rows[real], tokens.flat[real] % self.n_tokens)
        share = 1.0 / np.maximum(size, 1)[where[0]]
        matrix = csr_matrix((share, where), shape=(len(tokens), self.n_tokens))
        matrix.sum_duplicates()
        return matrix

    def _descend(self, X: FloatArray, M: csr_matrix, Y: FloatArray, weight: FloatArray) -> None:
        """Minimise weighted cross-entropy by Adam; backpropagation by hand, three layers deep."""
        rng = np.random.default_rng(self.random_state)
        (n, p), k, m = X.shape, Y.shape[1], self.n_hidden
        level = np.clip(self.level_, _EPSILON, 1.0 - _EPSILON)
        base = np.log(level / (1.0 - level)).astype(np.float32)
        # Embeddings have unit length: four times that spreads hidden units about their kinks.
        start = (4.0 / np.sqrt(p) * rng.standard_normal((p, m))).astype(np.float32)
        hidden, bias = Adam(start, self.learning_rate), Adam(_zeros(m), self.learning_rate)
        out, shift = Adam(_zeros(m, k + 1), self.learning_rate), Adam(_zeros(k), self.learning_rate)
        table = Adam(_zeros(self.n_tokens, m), self.table_rate)
        n_steps = max(self.n_epochs * -(-n // self.batch_size), self.min_steps)
        for step, rows in enumerate(_batches(n, self.batch_size, n_steps, rng)):
            x = X[rows] * _kept(rng, (len(rows), p), _INPUT_DROPOUT)
            used, S = _dropped(M[rows], self.token_dropout, rng)
            mask = _kept(rng, (len(rows), m), self.dropout)
            raw = x @ hidden.value + S @ table.value[used] + bias.value
            active = np.maximum(raw, 0.0) * mask
            eta = active @ out.value
            quality = _sigmoid(base + shift.value + eta[:, :1] + eta[:, 1:])
            error = weight[rows] * (quality - Y[rows]) / len(rows)
            back = np.column_stack([error.sum(axis=1), error])
            inner = back @ out.value.T * mask * (raw > 0.0)
            rate = max(_LAST_RATE, 1.0 - step / n_steps)
            out.step(active.T @ back, rate)
            shift.step(error.sum(axis=0), rate)
            hidden.step(x.T @ inner, rate)
            bias.step(inner.sum(axis=0), rate)
            table.step(S.T @ inner, rate, used)
        self.hidden_, self.bias_ = hidden.value, bias.value
        # Half precision here and in the graph: half the bundle, and nothing that could be measured.
        self.table_ = table.value.astype(np.float16)
        self.out_ = out.value[:, :1] + out.value[:, 1:]
        self.intercept_ = base + shift.value


def _zeros(*shape: int) -> FloatArray:
    return np.zeros(shape, dtype=np.float32)


def _kept(rng: np.random.Generator, shape: tuple[int, int], share: float) -> FloatArray:
    """Zero with probability ``share``, else what keeps the mean at one."""
    kept: FloatArray = (rng.random(shape, dtype=np.float32) >= share) / np.float32(1.0 - share)
    return kept


def _dropped(M: csr_matrix, share: float, rng: np.random.Generator) -> tuple[IntArray, csr_matrix]:
    """Columns in use, and the rows over these columns alone with some entries dropped."""
    from scipy.sparse import csr_matrix

    used, position = np.unique(M.indices, return_inverse=True)
    data = M.data * _kept(rng, (1, len(M.data)), share)[0]
    return used, csr_matrix((data, position, M.indptr), shape=(M.shape[0], len(used)))


def _batches(n: int, size: int, steps: int, rng: np.random.Generator) -> list[IntArray]:
    """Rows of every step: pass after pass in random order."""
    passes = -(-steps * min(size, n) // n) + 1
    rows: list[IntArray] = []
    for _ in range(passes):
        order = rng.permutation(n)
        rows += [order[i : i + size] for i in range(0, n, size)]
    return rows[:steps]


def _sigmoid(eta: FloatArray) -> FloatArray:
    value: FloatArray = 0.5 * (1.0 + np.tanh(0.5 * eta))
    return value
