"""One workload of the quality benchmark: its data, its splits, and what each method predicts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from pipelines.benchmarks.baselines import Baseline
from pipelines.benchmarks.graph_time import request_ms
from pipelines.benchmarks.kept import described, kept
from pipelines.benchmarks.quality_cascades import METHODS as CASCADES
from pipelines.benchmarks.quality_cascades import log_answers, play_fold
from pipelines.benchmarks.quality_methods import FAST, UNWEIGHTED
from pipelines.benchmarks.scored import Scored
from pipelines.benchmarks.tested import Tested
from pipelines.benchmarks.workloads import (
    LOG_FOLDERS,
    LOGS,
    Split,
    cross_validation,
    few_labels,
    label_count,
    read_logs,
    read_workload,
)
from pipelines.console import progress
from router_ml.cascade.answers.table import AnswerTable
from router_ml.cascade.training import LoggedAnswers
from router_ml.data.full_information import concatenate
from router_ml.estimators.base import Estimator
from router_ml.estimators.specs import Spec
from router_ml.evaluation import metrics
from router_ml.features.encoder import Encoder
from router_ml.features.featurizer import Featurizer
from router_ml.learning.decisions import Played, full_training_set, leads, play
from router_ml.learning.training_set import TrainingSet
from router_ml.types.arrays import FloatArray

_MEMBERS: Final = "13"
"""Raise it when the code of an estimator changes that is no stack, so that none of the predictions
kept from before are used."""
_CASCADES: Final = "2"
"""Raise it when the code of scorers or cascades changes."""
_STACKS: Final = "6"
"""Raise it when the code of stacks, calibration or floors changes; members are used again."""
N_FOLDS: Final = 5
"""Folds of the cross-validation, and draws of few labels."""
_TIMED: Final = 200


class Bench:
    """One workload: its data, its splits, and what each method predicts on them.

    ``others`` are the same workload with another encoder, by the method that needs it.
    """

    def __init__(
        self,
        name: str,
        data: Path,
        test_data: Path | None,
        encoder: Encoder,
        cache: Path,
        folds: int,
    ) -> None:
        self.name, self.encoder, self.cache = name, encoder, cache
        self.others: dict[str, Bench] = {}
        own = read_workload(name, data)
        self.logs: dict[bool, TrainingSet] = {}
        if name in LOGS:
            self.joined = cache / f"join-{name}"
            self.logs = read_logs(data / LOG_FOLDERS[name], encoder, self.joined)
            candidates = self.logs[True].candidates
            own = own.select(candidates.names).priced(candidates)
        if test_data is None:
            whole, n_train = own, len(own)
        else:
            other = read_workload(name, test_data)
            whole, n_train = concatenate(own, other), len(own)
        self.truth, self.groups = whole, whole.groups
        with progress(f"{name}: features", len(whole)) as advance:
            self.batch = Featurizer(encoder=encoder).transform(whole.queries, progress=advance)
        inside = np.arange(n_train)
        outside = np.arange(n_train, len(whole))
        self.n_labels = n_labels = label_count(name)
        if n_labels is not None:
            self.splits = few_labels(self.groups[inside], n_labels=n_labels, n_seeds=N_FOLDS)
            if test_data is not None:
                self.splits = [Split(split.train, outside) for split in self.splits]
        elif test_data is None:
            self.splits = cross_validation(self.groups)
        else:
            clean = inside[~np.isin(self.groups[inside], self.groups[outside])]
            self.splits = [Split(clean, outside)]
        part = "" if folds >= len(self.splits) else f", the first {folds} of them"
        self.splits = self.splits[:folds]
        kind = f"{N_FOLDS} draws of {n_labels} labels, tested on the rest"
        if n_labels is None:
            kind = "5-fold cross-validation grouped by prompt"
        self.protocol = (
            kind + part if test_data is None else "trained on one folder, tested on another"
        )
        self.tested = Tested(name, self.truth, self.splits, pooled=self.n_labels is None)

    def measure(
        self, methods: Mapping[str, Spec], *, cascades: bool = False
    ) -> tuple[dict[str, metrics.Metrics], dict[str, FloatArray]]:
        """Metrics by method, and what figures are drawn from: predictions on the test rows."""
        table: dict[str, metrics.Metrics] = {}
        drawings: dict[str, FloatArray] = {}
        rows: dict[str, FloatArray] = {}
        if self.logs and FAST in methods:
            methods = {**methods, UNWEIGHTED: methods[FAST]}
        with progress(self.name, len(methods) * len(self.splits)) as advance:
            for method, spec in methods.items():
                by = self.others.get(method, self)
                parts = [by._scored(method, spec, f, advance) for f in range(len(self.splits))]
                table[method] = self.tested.summary(parts)
                if self.n_labels is None:
                    rows[method] = self.tested.decided(parts)
                if self.n_labels is None:
                    drawings[method] = self.tested.pooled([part.quality for part in parts])
                    drawings[f"{method}:cost"] = self.tested.pooled(
                        [part.cost_usd for part in parts]
                    )
        if cascades and self.truth.answers is not None and self.truth.has_cost:
            for method, whole in self._cascades(methods[FAST]).items():
                table[method] = self.tested.cascade_summary(whole)
                rows[method] = whole.gains.mean(axis=1)
        for method in ("random", "oracle"):
            parts = [self.tested.reference(method, f) for f in range(len(self.splits))]
            row = self.tested.summary(parts)
            drop = ("ece", "brier")
            table[method] = {key: value for key, value in row.items() if key not in drop}
        for method, lead in leads(rows, FAST, self.tested.truth.groups).items():
            table[method]["fast_lead"] = lead
        self.tested.correct_gaps(table, drawings)
        return table, drawings

    def _cascades(self, spec: Spec) -> dict[str, Played]:
        """Cascades at every budget, rows in the order of :attr:`Tested.rows`."""
        answers = AnswerTable.of(self.truth.queries, self.truth.answers or ())
        logged = log_answers(self.joined, self.logs[True]) if self.logs else None
        parts: dict[str, list[FloatArray]] = {name: [] for name in CASCADES}
        for fold, split in enumerate(self.splits):
            key = f"{fold}-{self._key(spec, split)}"
            paths = {n: self.cache / self.name / f"{n}-{_CASCADES}-{key}.npy" for n in CASCADES}
            if not all(path.is_file() for path in paths.values()):
                seen: AnswerTable | LoggedAnswers = answers.take(split.train)
                if logged is not None:
                    tested = self.truth.group_id[split.test].astype(str)
                    seen = logged(np.flatnonzero(~np.isin(self.logs[True].group_id, tested)))
                found = play_fold(
                    self._training(split, weighted=True),
                    self._estimator(spec),
                    seen,
                    answers.take(split.test),
                    self.truth.take(split.test),
                    self.batch.take(split.test),
                )
                for name, path in paths.items():
                    np.save(path, found[name].array, allow_pickle=False)
            for name, path in paths.items():
                parts[name].append(np.load(path, allow_pickle=False))
        return {
            name: Played.from_array(self.tested.pooled(arrays)) for name, arrays in parts.items()
        }

    def _scored(self, method: str, spec: Spec, fold: int, advance: Callable[[int], None]) -> Scored:
        split = self.splits[fold]
        path = self.cache / self.name / f"{method}-{fold}-{self._key(spec, split)}.npz"
        if not path.is_file():
            data = self._training(split, weighted=method != UNWEIGHTED)
            shipped = not isinstance(spec, Baseline)
            self._fit(data, self._estimator(spec), split, shipped, timed=fold == 0).save(path)
        advance(1)
        return Scored.load(path)

    def _training(self, split: Split, *, weighted: bool) -> TrainingSet:
        """What may be learned from: training rows, or the log without the tested prompts."""
        if not self.logs:
            return full_training_set(self.truth, self.batch, split.train)
        log = self.logs[weighted]
        return log.take(~np.isin(log.group_id, self.truth.group_id[split.test].astype(str)))

    def _key(self, spec: Spec, split: Split) -> str:
        """Hash of all that decides the predictions; of the code, what was raised by hand."""
        head = "|".join([_MEMBERS, _STACKS, described(spec), self.encoder.digest])
        digest = hashlib.blake2b(head.encode(), digest_size=12)
        logged = [np.nan_to_num(log.outcomes.quality) for log in self.logs.values()]
        for array in (split.train, split.test, self.truth.quality, self.batch.tokens.flat, *logged):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def _estimator(self, spec: Spec) -> Estimator:
        """With its members' predictions kept apart, so that blends share them."""
        return kept(spec, self.cache / self.name / "members", f"{_MEMBERS}|{self.encoder.digest}")

    def _fit(
        self, data: TrainingSet, estimator: Estimator, split: Split, shipped: bool, *, timed: bool
    ) -> Scored:
        truth, batch = self.truth.take(split.test), self.batch.take(split.test)
        played: Played | None = None
        if truth.has_cost:
            fitted, predicted, played = play(data, estimator, truth, batch, floored=shipped)
            quality = predicted.quality
            cost = truth.candidates.cost_usd(predicted.input_tokens, predicted.output_tokens)
        else:
            Y = data.outcomes.quality
            fitted = estimator.fit(data.batch, Y, candidates=truth.candidates, groups=data.groups)
            quality = fitted.predict(batch, truth.candidates)
            cost = np.full(quality.shape, np.nan)
        times: FloatArray = np.zeros((0, 2))
        if timed and shipped:
            rows = split.test[:: max(1, len(split.test) // _TIMED)][:_TIMED]
            queries = [self.truth.queries[i] for i in rows]
            times = request_ms(fitted, self.encoder, queries, len(self.truth.candidates))
        return Scored(quality, cost, times, played)
