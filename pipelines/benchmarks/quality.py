"""Routing quality on public data: every estimator and baseline, with intervals and figures.

Predictions of every method and fold are kept on disk under a key of all that decides them, so a run
that was stopped goes on where it was, and a changed method is computed again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from pipelines.benchmarks.baselines import BASELINES, Baseline
from pipelines.benchmarks.kept import described, kept
from pipelines.benchmarks.quality_cascades import METHODS as CASCADES
from pipelines.benchmarks.quality_cascades import PICKED, log_answers, picked, play_fold
from pipelines.benchmarks.quality_figures import draw, draw_learning_curve
from pipelines.benchmarks.workloads import (
    BFCL,
    JUDGE,
    LLMROUTER,
    LOG_FOLDERS,
    LOGS,
    MIX,
    WORKLOADS,
    Split,
    cross_validation,
    few_labels,
    label_count,
    read_logs,
    read_workload,
)
from pipelines.console import print_table, progress
from pipelines.encoders import CachedEncoder, get_encoder
from router_ml.cascade.answers.table import AnswerTable
from router_ml.cascade.training import LoggedAnswers
from router_ml.data.full_information import FullInformation, concatenate
from router_ml.errors import ConfigError
from router_ml.estimators.base import Estimator
from router_ml.estimators.specs import Spec
from router_ml.estimators.stacked import DEFAULT_MEMBERS
from router_ml.estimators.tiers import TIERS, TierName
from router_ml.evaluation import metrics
from router_ml.evaluation.ceiling import (
    corrected_gap,
    reachable_by_expectation,
    reachable_by_repeats,
)
from router_ml.evaluation.intervals import Estimate
from router_ml.evaluation.two_candidates import apgr_rows, two_candidates
from router_ml.export.encoders import add_encoder
from router_ml.export.graph import GraphBuilder
from router_ml.export.heads.base import add_head
from router_ml.export.router import load_heads
from router_ml.features.distill import DEFAULT_MODEL
from router_ml.features.encoder import Encoder
from router_ml.features.featurizer import Featurizer
from router_ml.features.lexical import lexical_features
from router_ml.learning.decisions import (
    Played,
    budget_metrics,
    full_training_set,
    leads,
    play,
)
from router_ml.learning.training_set import TrainingSet
from router_ml.policies.constant import best_constant
from router_ml.runtime.inputs import graph_inputs
from router_ml.runtime.session import open_session
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.queries import Tokens

FAST: Final = "fast"
UNWEIGHTED: Final = "fast, propensities ignored"
ESTIMATORS: Final[Mapping[str, Spec]] = {
    "constant": {"name": "constant"},
    **BASELINES,
    "linear": {"name": "linear"},
    "knn": {"name": "knn"},
    "token_weights": {"name": "token_weights"},
    "low_rank": {"name": "low_rank"},
    "deep_averaging": {"name": "deep_averaging"},
    "lightgbm": {"name": "lightgbm"},
    "extra_trees": {"name": "extra_trees"},
    FAST: {"name": "stacked"},
}
"""Methods that are an estimator, by name; ``fast`` is what ships."""
ABLATION: Final[Mapping[str, Mapping[str, Any]]] = {
    **{
        f"fast without {left_out}": {
            "name": "stacked",
            "members": {name: spec for name, spec in DEFAULT_MEMBERS.items() if name != left_out},
        }
        for left_out in DEFAULT_MEMBERS
    },
    "distilled": {"name": "distilled", "student": {"name": "deep_averaging"}},
}
"""What every member is worth: the blend without it; and what one student keeps of the blend."""
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


@dataclass(frozen=True, slots=True)
class Scored:
    """One method's predictions for the rows of one split.

    Parameters
    ----------
    quality, cost_usd : shape (n_test, K); costs are NaN where the workload has none
    score_ms : milliseconds to tokenise, count and score each of some prompts; none where not timed
    played : at every budget; ``None`` where the workload has no cost
    """

    quality: FloatArray
    cost_usd: FloatArray
    score_ms: FloatArray
    played: Played | None = None

    def save(self, path: Path) -> None:
        """Write an npz file, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(
            partial,
            quality=self.quality,
            cost=self.cost_usd,
            ms=self.score_ms,
            played=np.zeros(0) if self.played is None else self.played.array,
        )
        partial.rename(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote."""
        with np.load(path) as kept:
            played = kept["played"]
            return cls(
                quality=kept["quality"],
                cost_usd=kept["cost"],
                score_ms=kept["ms"],
                played=Played.from_array(played) if played.size else None,
            )


def run(
    data: Path,
    out: Path,
    *,
    test_data: Path | None = None,
    workloads: Sequence[str] = WORKLOADS,
    plots: Path | None = None,
    tier: TierName = "fast",
    model: str = DEFAULT_MODEL,
    cache: Path = Path(".cache"),
    methods: Mapping[str, Spec] = ESTIMATORS,
    folds: int = N_FOLDS,
    ablation: bool = False,
    cascades: bool = False,
) -> Path:
    """Measure and write ``workloads.<workload>.methods.<method>.<metric>``.

    Without ``test_data``: 5-fold cross-validation grouped by prompt, metrics on the pooled
    out-of-fold predictions; estimators make every choice inside the training folds. With it: train
    on all of ``data`` and test there once; ``routellm-mmlu-<n>``, any number, still draws n labels
    a seed.

    Parameters
    ----------
    data, test_data : folders with ``routellm/``, ``llmrouter/``, ``bfcl/``
    out : JSON file; workloads measured before are kept
    plots : folder for figures, optional
    tier : ``balanced`` adds the one with a frozen sentence encoder, ``best`` that with a fine-tuned
        one; ``docs/results`` has their times
    model : what ``balanced`` freezes, a sentence-transformers model by name or path
    cache : folder for the encoder and for predictions
    methods : estimator specs by name; ``random`` and ``oracle`` come in any case
    ablation : also the blend without each of its members, and a student taught by the blend
    folds : test on the first so many of the folds or draws, when time is short
    cascades : also cascades, in the same table, where costs and answers are known

    Raises
    ------
    ConfigError
        If a workload or the tier is not there.
    """
    if tier not in TIERS or not 1 <= folds <= N_FOLDS:
        raise ConfigError(
            f"tier must be one of {', '.join(TIERS)} and folds 1 to {N_FOLDS}, got {tier!r} and "
            f"{folds}"
        )
    if tier != FAST:
        methods = {**methods, tier: TIERS[tier].quality}
    if ablation:
        methods = {**methods, **ABLATION}
    encoder = get_encoder(cache=cache)
    sentence = None
    if TIERS[tier].encoder == "sentence":
        sentence = get_encoder(cache=cache, kind="sentence", model=model)
    results: dict[str, Any] = json.loads(out.read_text()) if out.is_file() else {}
    results.setdefault("workloads", {})
    for name in workloads:
        started = time.perf_counter()
        kept_in = cache / "benchmark-quality"
        bench = _Bench(name, data, test_data, encoder, kept_in, folds)
        if sentence is not None:
            bench.others[tier] = _Bench(name, data, test_data, sentence, kept_in, folds)
        table, drawings = bench.measure(methods, cascades=cascades)
        results["workloads"][name] = {
            "methods": {m: {k: v.as_dict() for k, v in row.items()} for m, row in table.items()},
            "protocol": bench.protocol,
            "seconds": round(time.perf_counter() - started, 1),
        }
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(results, indent=1), encoding="utf-8")
        _print(name, table)
        if plots is not None:
            shown = {k: v for k, v in drawings.items() if k.split(":")[0] not in ABLATION}
            draw(name, bench.tested_truth(), shown, plots)
    if plots is not None:
        draw_learning_curve(results["workloads"], plots)
    return out


class _Bench:
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
        self.others: dict[str, _Bench] = {}
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
                table[method] = self._summary(parts)
                if self.n_labels is None:
                    rows[method] = self._decided(parts)
                if self.n_labels is None:
                    drawings[method] = self._pooled([part.quality for part in parts])
                    drawings[f"{method}:cost"] = self._pooled([part.cost_usd for part in parts])
        if cascades and self.truth.answers is not None and self.truth.has_cost:
            for method, whole in self._cascades(methods[FAST]).items():
                table[method] = self._cascade_summary(whole)
                rows[method] = whole.gains.mean(axis=1)
        for method in ("random", "oracle"):
            parts = [self._reference(method, f) for f in range(len(self.splits))]
            row = self._summary(parts)
            drop = ("ece", "brier")
            table[method] = {key: value for key, value in row.items() if key not in drop}
        for method, lead in leads(rows, FAST, self.groups[self._tested()]).items():
            table[method]["fast_lead"] = lead
        self._correct_gaps(table, drawings)
        return table, drawings

    def _correct_gaps(
        self, table: dict[str, metrics.Metrics], predictions: Mapping[str, FloatArray]
    ) -> None:
        """Beside every raw share of the oracle's gap, those of what is not luck.

        By repeats of all rows, tested or not, where there are; and by the expected maximum under
        the predictions of the lowest Brier score.
        """
        known = [name for name in predictions if "brier" in table.get(name, {})]
        if not known:
            return
        truth = self.tested_truth()
        sharpest = min(known, key=lambda name: table[name]["brier"].value)
        reachable = {
            "expected": reachable_by_expectation(
                truth.quality, predictions[sharpest], truth.groups
            ),
            "repeats": reachable_by_repeats(self.truth.quality, self.truth.query_id.tolist()),
        }
        for kind, share in reachable.items():
            if share is None:
                continue
            table["oracle"][f"reachable_gap_{kind}"] = share
            for row in table.values():
                if "oracle_gap_closed" in row:
                    row[f"gap_closed_{kind}"] = corrected_gap(row["oracle_gap_closed"], share)

    def _cascades(self, spec: Spec) -> dict[str, Played]:
        """Cascades at every budget, rows in the order of :meth:`_tested`."""
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
        return {name: Played.from_array(self._pooled(arrays)) for name, arrays in parts.items()}

    def _cascade_summary(self, played: Played) -> metrics.Metrics:
        """At budgets fixed in training; and, second, at points picked on the tested prompts."""
        truth = self.tested_truth()
        price = float(truth.cost_usd[:, best_constant(truth.quality, truth.cost_usd)].mean())
        row = budget_metrics(played, truth)
        for share, value in zip(PICKED, picked(played, price), strict=True):
            name = f"quality_at_{round(100 * share)}pct_cost"
            row[name] = Estimate(value, value, value, len(truth))
        return row

    def _decided(self, parts: Sequence[Scored]) -> FloatArray:
        """What a method's decisions gain on every row, in the unit of the workload's own metric."""
        rows = self._tested()
        truth = self.truth.quality[rows]
        if all(part.played is not None for part in parts):
            gains = [part.played.gains for part in parts if part.played is not None]
            mean: FloatArray = self._pooled(gains).mean(axis=1)
            return mean
        quality = self._pooled([part.quality for part in parts])
        if truth.shape[1] == 2:
            return apgr_rows(quality[:, 1] - quality[:, 0], truth)
        chosen: FloatArray = truth[np.arange(len(rows)), quality.argmax(axis=1)]
        return chosen

    def _summary(self, parts: Sequence[Scored]) -> metrics.Metrics:
        if self.n_labels is not None:
            each = [
                self._metrics(part, split.test)
                for part, split in zip(parts, self.splits, strict=True)
            ]
            row = metrics.mean_over_seeds(each)
        else:
            pooled = Scored(
                self._pooled([part.quality for part in parts]),
                self._pooled([part.cost_usd for part in parts]),
                np.zeros(0),
            )
            row = self._metrics(pooled, self._tested())
            played = [part.played.array for part in parts if part.played is not None]
            if played:
                whole = Played.from_array(self._pooled(played))
                row |= budget_metrics(whole, self.truth.take(self._tested()))
        times = np.concatenate([part.score_ms for part in parts])
        return {**row, "score_ms": _median(times)} if len(times) else row

    def _metrics(self, scored: Scored, rows: IntArray) -> metrics.Metrics:
        truth, groups = self.truth.quality[rows], self.groups[rows]
        row = metrics.calibration_metrics(scored.quality, truth, groups)
        if self.truth.has_cost:
            choices = metrics.choices_by_cost_weight(scored.quality, scored.cost_usd)
            return row | metrics.curve_metrics(choices, truth, self.truth.cost_usd[rows], groups)
        if self.name == LLMROUTER:
            return row | metrics.best_of_all(np.argmax(scored.quality, axis=1), truth, groups)
        return row | two_candidates(scored.quality[:, 1] - scored.quality[:, 0], truth, groups)

    def tested_truth(self) -> FullInformation:
        """Truth of the tested rows, in the order of pooled predictions."""
        return self.truth.take(self._tested())

    def _tested(self) -> IntArray:
        return np.sort(np.concatenate([split.test for split in self.splits]))

    def _pooled(self, parts: Sequence[FloatArray]) -> FloatArray:
        """Rows of all splits in the order of :meth:`_tested`."""
        order = np.argsort(np.concatenate([split.test for split in self.splits]), kind="stable")
        pooled: FloatArray = np.concatenate(list(parts))[order]
        return pooled

    def _reference(self, method: str, fold: int) -> Scored:
        rows = self.splits[fold].test
        truth = self.truth.quality[rows]
        quality = truth
        if method == "random":
            quality = np.random.default_rng(fold).random(truth.shape)
        return Scored(quality, self.truth.cost_usd[rows], np.zeros(0))

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
        times: FloatArray = np.zeros(0)
        if timed and shipped:
            rows = split.test[:: max(1, len(split.test) // _TIMED)][:_TIMED]
            times = self._time(fitted, rows)
        return Scored(quality, cost, times, played)

    def _time(self, estimator: Estimator, rows: IntArray) -> FloatArray:
        """Milliseconds from a prompt's text to every candidate's quality, one at a time."""
        load_heads()
        graph = GraphBuilder()
        inner = self.encoder.inner if isinstance(self.encoder, CachedEncoder) else self.encoder
        features = add_encoder(graph, inner)
        out = add_head(estimator, graph, features)
        graph.output(out, "quality", ("batch", len(self.truth.candidates)))
        session = open_session(graph.build().SerializeToString(), "the graph")
        tokenizer = self.encoder.tokenizer
        taken = []
        for i in rows:
            query = self.truth.queries[i]
            started = time.perf_counter()
            feed = graph_inputs(
                [value.name for value in session.get_inputs()],
                tokens=Tokens.from_rows([tokenizer.row(query)]),
                lexical=lexical_features(query)[None],
                pad_id=tokenizer.layout.pad_id,
            )
            session.run(None, feed)
            taken.append(1000.0 * (time.perf_counter() - started))
        return np.array(taken)


def _median(times: FloatArray) -> Estimate:
    """Median, between the order statistics that hold it 19 times in 20."""
    from scipy.stats import binom

    low, high = binom.ppf([0.025, 0.975], len(times), 0.5).astype(int)
    ordered = np.sort(times)
    return Estimate(
        float(np.median(times)), ordered[low], ordered[min(high, len(times) - 1)], len(times)
    )


def _print(name: str, table: Mapping[str, metrics.Metrics]) -> None:
    priced = (
        "quality_at_25pct_budget",
        "quality_at_100pct_budget",
        "hull_gain",
        "hull_gain_worst",
        "fast_lead",
    )
    shown = {
        LLMROUTER: (
            "routed_quality",
            "oracle_gap_closed",
            "gap_closed_expected",
            "gap_closed_repeats",
            "fast_lead",
        ),
        **dict.fromkeys((BFCL, MIX, JUDGE, *LOGS), priced),
    }.get(name, ("apgr", "cpt50", "cpt80"))
    columns = (*shown, "ece", "brier", "score_ms")
    rows = [
        (method, *(_cell(row.get(column)) for column in columns)) for method, row in table.items()
    ]
    print_table(name, ("method", *columns), rows)


def _cell(estimate: Estimate | None) -> str:
    if estimate is None:
        return "–"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
