"""What estimators are compared on: every outcome, known or estimated from a log, row by row."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from router_ml.data.full_information import FullInformation
from router_ml.data.groups import distinct_rows, group_codes, hash_folds
from router_ml.data.outcomes import TrainingTable
from router_ml.errors import DataError
from router_ml.estimators.base import Estimator
from router_ml.estimators.registry import make_estimator
from router_ml.evaluation.off_policy.balance import with_behavior
from router_ml.evaluation.off_policy.estimators import constant_rows
from router_ml.evaluation.off_policy.feedback import LoggedFeedback
from router_ml.evaluation.off_policy.log_feedback import REGIONS, feedback, regions_of
from router_ml.evaluation.off_policy.overlap import overlap
from router_ml.evaluation.off_policy.today import today_values
from router_ml.features.encoder import Encoder
from router_ml.features.featurizer import Featurizer
from router_ml.learning.decisions import Played, play
from router_ml.learning.held_out import fit_router, held_out_predictions
from router_ml.learning.training_set import TrainingSet
from router_ml.types.arrays import BoolArray, FloatArray, IntArray
from router_ml.types.predictions import Predictions
from router_ml.types.queries import QueryBatch


@dataclass(frozen=True, slots=True)
class Contest:
    """Rows that routers learn from, and rows that judge them.

    Parameters
    ----------
    data : the log, a row a distinct query
    truth : n rows that judge: a matrix's prompts, or a log's requests with doubly robust row values
        in the place of what was not seen; ``quality`` of the latter may leave [0, 1]
    batch : features of ``truth``
    known : whether every outcome of ``truth`` was seen, so that there is an oracle
    today : quality and cost of today's choices, shape (n,) each; ``None`` where nobody chose
    log : quality as logged, and each row's region, where outcomes are estimated
    """

    data: TrainingSet
    truth: FullInformation
    batch: QueryBatch
    known: bool
    today: tuple[FloatArray, FloatArray] | None = None
    log: tuple[LoggedFeedback, IntArray] | None = None

    @classmethod
    def on_matrix(
        cls, data: TrainingSet, truth: FullInformation, encoder: Encoder, today: FloatArray | None
    ) -> Contest:
        """Judged by a matrix.

        Parameters
        ----------
        today : action probabilities of the logging policy on its prompts, shape (n, K)
        """
        batch = Featurizer(encoder=encoder).transform(truth.queries)
        now = None
        if today is not None:
            now = (np.sum(today * truth.quality, axis=1), np.sum(today * truth.cost_usd, axis=1))
        return cls(data, truth, batch, known=True, today=now)

    @classmethod
    def on_log(cls, data: TrainingSet, table: TrainingTable) -> Contest:
        """Judged by the log's own requests, off policy.

        What was not seen is estimated by a linear model of other folds, the same for all that are
        compared, and corrected by what was.

        Raises
        ------
        DataError
            If there are too few labels for folds.
        """
        guess = held_out_predictions(fit_router(data, make_estimator({"name": "linear"})), data)
        if guess is None:
            raise DataError(
                f"{len(data):,} prompts are too few, or their labels, to be judged in folds; join "
                "more log"
            )
        code = distinct_rows(table.query_id)[1]
        table = with_behavior(table)
        quality, cost_usd = feedback(table, estimate=True)
        rows = guess.take(code)
        cost = data.candidates.cost_usd(rows.input_tokens, rows.output_tokens)
        truth = FullInformation.of(
            table.queries,
            constant_rows(quality, rows.quality),
            data.candidates,
            cost_usd=constant_rows(cost_usd, cost),
            input_tokens=rows.input_tokens,
            output_tokens=rows.output_tokens,
            query_id=np.array(table.query_id, dtype=object),
            group_id=np.array(table.group_id, dtype=object),
        )
        now = (
            today_values(quality, rows.quality).influence,
            today_values(cost_usd, cost).influence,
        )
        return cls(
            data,
            truth,
            data.batch.take(code),
            known=False,
            today=now,
            log=(quality, regions_of(table)),
        )

    def take(self, index: IntArray | BoolArray) -> Contest:
        """Judging rows by position or by mask; what is learned from stays."""
        rows = np.arange(len(self.truth))[index]
        return replace(
            self,
            truth=self.truth.take(rows),
            batch=self.batch.take(rows),
            today=None if self.today is None else (self.today[0][rows], self.today[1][rows]),
            log=None,
        )

    def unsupported(self, action_probs: FloatArray) -> float:
        """Share of a policy's requests that go where the log says too little; 0 on a matrix."""
        if self.log is None:
            return 0.0
        quality, region = self.log
        names = self.data.candidates.names
        found = overlap(quality, action_probs, candidates=names, region=region, regions=REGIONS)
        return found.unsupported_mass


@dataclass(frozen=True, slots=True)
class Entry:
    """What one estimator came to, every row judged by a router that had not seen its prompt.

    Parameters
    ----------
    quality : as fitted, for the last fold
    predictions : of the judging rows, arrays of shape (n, K)
    played : at every budget
    probs : budget, as a share of what the best constant costs, to action probabilities (n, K)
    """

    quality: Estimator
    predictions: Predictions
    played: Played
    probs: dict[float, FloatArray]


def enter(contest: Contest, quality: Estimator, *, n_folds: int, fold: int, part: int = 0) -> Entry:
    """Learn from the other folds of prompts, and play one fold's rows.

    Parameters
    ----------
    quality : unfitted
    part : of the hash, as ``hash_folds`` takes it
    """
    learn = hash_folds(contest.data.group_id, n_folds=n_folds, part=part) != fold
    judge = np.flatnonzero(hash_folds(contest.truth.group_id, n_folds=n_folds, part=part) == fold)
    probs: dict[float, FloatArray] = {}
    fitted, predictions, played = play(
        contest.data.take(learn),
        quality,
        contest.truth.take(judge),
        contest.batch.take(judge),
        floored=True,
        on_policy=probs.__setitem__,
    )
    return Entry(fitted, predictions, played, probs)


def joined(contest: Contest, entries: list[Entry], n_folds: int) -> Entry:
    """One entry of those of all folds, rows in order."""
    folds = hash_folds(contest.truth.group_id, n_folds=n_folds)
    back = np.argsort(np.concatenate([np.flatnonzero(folds == f) for f in range(n_folds)]))
    parts = [entry.predictions for entry in entries]
    whole = {
        part: np.concatenate([getattr(p, part) for p in parts])[back]
        for part in ("quality", "input_tokens", "output_tokens", "latency_ms")
    }
    return Entry(
        entries[-1].quality,
        Predictions(**whole),
        Played.from_array(np.concatenate([e.played.array for e in entries])[back]),
        {
            share: np.concatenate([e.probs[share] for e in entries])[back]
            for share in entries[0].probs
        },
    )


def groups_of(contest: Contest) -> IntArray:
    """Integer codes of the judging rows' groups, shape (n,)."""
    return group_codes(contest.truth.group_id)
