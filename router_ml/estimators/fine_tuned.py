"""A sentence encoder fine-tuned end to end, one output per candidate: the slow, best teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, Self

import numpy as np

from router_ml.errors import ConfigError
from router_ml.estimators.base import State
from router_ml.estimators.effects import Effects
from router_ml.estimators.quality import QualityEstimator
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.queries import QueryBatch, Tokens

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

MODEL: Final = "sentence-transformers/all-MiniLM-L6-v2"
_EPSILON: Final = 0.01
_WARM_UP: Final = 0.06
_PREDICT_TOKENS: Final = 4096
"""Tokens of one scoring batch; rows of one length go together, so that none is padded."""


class FineTunedEstimator(QualityEstimator):
    r"""Transformer with one logistic output per candidate, all trained on the labels.

    .. math:: \mathrm{logit}\,\hat q_{ik} = \mathrm{logit}\,\ell_k + a_k + e_i^\top (u_0 + u_k)

    with e the mean of the last layer's token states. Embeddings and lower layers, if any, stay as
    they were pretrained; the upper ones, :math:`a` and :math:`u` follow the labels by AdamW on
    cross-entropy, with warm-up and linear decay. It costs minutes to train and milliseconds to
    score: a teacher for :class:`DistilledEstimator`, or a member of a stack where milliseconds do
    not matter.

    What is fitted is kept as the ONNX model that scores, from token ids to quality, so training,
    prediction and the bundle run the same graph. Needs the ``[encoders]`` extra to fit.

    Parameters
    ----------
    model : str, default="sentence-transformers/all-MiniLM-L6-v2"
        Any BERT-like sentence-transformers model, by name or path; the tokens of the batch must be
        its own, or those of the static encoder distilled from it.
    n_trained_layers : int, default=6
        Upper layers that are trained; all of the default model.
    n_epochs : int, default=2
    min_steps : int, default=80
        Batches at least, when there are few labels.
    max_tokens : int, default=128
        Longer queries keep their first third and their end.
    batch_size : int, default=32
    learning_rate, head_rate : float, default=5e-5 and 1e-3
        Of the layers, and of the output.
    random_state : int, default=0

    References
    ----------
    .. [1] Ong et al., "RouteLLM: Learning to Route LLMs with Preference Data", 2024 (its BERT
       router, two candidates).
    """

    name: ClassVar[str] = "fine_tuned"
    fitted: ClassVar[tuple[str, ...]] = ("onnx_",)

    def __init__(
        self,
        *,
        model: str = MODEL,
        n_trained_layers: int = 6,
        n_epochs: int = 2,
        min_steps: int = 80,
        max_tokens: int = 128,
        batch_size: int = 32,
        learning_rate: float = 5e-5,
        head_rate: float = 1e-3,
        random_state: int = 0,
    ) -> None:
        self.model = model
        self.n_trained_layers = n_trained_layers
        self.n_epochs = n_epochs
        self.min_steps = min_steps
        self.max_tokens = max_tokens
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.head_rate = head_rate
        self.random_state = random_state

    @property
    def costly(self) -> bool:
        """True: a pass over the training queries takes minutes."""
        return True

    def fit_effects(self, queries: QueryBatch, effects: Effects) -> None:
        """See :meth:`router_ml.estimators.quality.QualityEstimator.fit_effects`."""
        from router_ml.features.fine_tuning import Network, to_onnx, token_map

        if min(self.n_epochs, self.batch_size, self.n_trained_layers) < 1 or self.max_tokens < 4:
            raise ConfigError(f"sizes must be at least 1 and max_tokens 4, got {self!r}")
        seen = effects.weight[:, 1:]
        quality = effects.level + effects.target[:, :1] + effects.target[:, 1:]
        level = np.clip(effects.level, _EPSILON, 1.0 - _EPSILON)
        network = Network(
            model=self.model,
            token_map=token_map(self.model, queries),
            max_tokens=self.max_tokens,
            n_trained_layers=self.n_trained_layers,
            intercept=np.log(level / (1.0 - level)),
            random_state=self.random_state,
        )
        n = len(queries)
        network.train_on(
            batches=self._batches(
                queries.tokens, max(self.n_epochs * -(-n // self.batch_size), self.min_steps)
            ),
            tokens=queries.tokens,
            quality=np.where(seen > 0, quality, 0.0),
            weight=seen / max(seen.max(axis=0).mean(), 1e-12),
            rates=(self.learning_rate, self.head_rate),
            warm_up=_WARM_UP,
        )
        self.onnx_ = np.frombuffer(to_onnx(network), dtype=np.uint8)
        self._session_: InferenceSession | None = None

    def _batches(self, tokens: Tokens, n_steps: int) -> list[IntArray]:
        """Rows of every step; rows of like length go together, so that little is padded."""
        rng = np.random.default_rng(self.random_state)
        lengths = np.minimum(tokens.lengths, self.max_tokens)
        steps: list[IntArray] = []
        while len(steps) < n_steps:
            order = np.argsort(lengths + rng.uniform(-6.0, 6.0, len(tokens)))
            parts = [order[i : i + self.batch_size] for i in range(0, len(order), self.batch_size)]
            steps += [parts[i] for i in rng.permutation(len(parts))]
        return steps[:n_steps]

    def raw_quality(self, queries: QueryBatch) -> FloatArray:
        """See :meth:`router_ml.estimators.quality.QualityEstimator.raw_quality`."""
        session = self._scorer()
        tokens, lengths = queries.tokens, queries.tokens.lengths
        out = np.zeros((len(queries), len(self.level_)))
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            size = max(1, _PREDICT_TOKENS // max(int(length), 1))
            for part in (rows[i : i + size] for i in range(0, len(rows), size)):
                ids = np.stack(
                    [tokens.flat[tokens.offsets[i] : tokens.offsets[i + 1]] for i in part]
                )
                out[part] = session.run(["quality"], {"input_ids": ids})[0]
        return out

    def _effects(self, queries: QueryBatch) -> FloatArray:
        left = self.raw_quality(queries) - self.level_
        return np.column_stack([np.zeros(len(left)), left])

    def _scorer(self) -> InferenceSession:
        import onnxruntime as ort

        if self._session_ is None:
            options = ort.SessionOptions()
            options.log_severity_level = 3
            self._session_ = ort.InferenceSession(self.onnx_.tobytes(), options)
        return self._session_

    @classmethod
    def from_state(cls, state: State) -> Self:
        """See :meth:`Estimator.from_state`."""
        self = super().from_state(state)
        self._session_ = None
        return self
