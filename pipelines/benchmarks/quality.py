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
from typing import Any, Final

import numpy as np

from pipelines.benchmarks.kept import described, kept
from pipelines.benchmarks.quality_figures import draw, draw_learning_curve
from pipelines.benchmarks.workloads import (
    BFCL,
    LLMROUTER,
    WORKLOADS,
    Split,
    cross_validation,
    few_labels,
    label_count,
    read_workload,
)
from pipelines.console import print_table, progress
from pipelines.encoders import get_encoder
from router_ml.data.full_information import FullInformation, concatenate
from router_ml.errors import ConfigError
from router_ml.estimators.amounts import AmountEstimator
from router_ml.estimators.base import Estimator
from router_ml.estimators.stacked import DEFAULT_MEMBERS
from router_ml.evaluation import metrics
from router_ml.evaluation.intervals import Estimate
from router_ml.export.encoders import add_encoder
from router_ml.export.graph import GraphBuilder
from router_ml.export.heads.base import add_head
from router_ml.export.router import load_heads
from router_ml.features.encoder import Encoder
from router_ml.features.featurizer import Featurizer
from router_ml.features.lexical import lexical_features
from router_ml.runtime.inputs import graph_inputs
from router_ml.runtime.session import open_session
from router_ml.types.arrays import FloatArray, IntArray
from router_ml.types.queries import Tokens

ESTIMATORS: Final[Mapping[str, Mapping[str, Any]]] = {
    "constant": {"name": "constant"},
    "linear": {"name": "linear"},
    "knn": {"name": "knn"},
    "token_weights": {"name": "token_weights"},
    "low_rank": {"name": "low_rank"},
    "deep_averaging": {"name": "deep_averaging"},
    "lightgbm": {"name": "lightgbm"},
    "fast": {"name": "stacked"},
}
"""Methods that are an estimator, by name; ``fast`` is what ships."""
BEST: Final[Mapping[str, Any]] = {
    "name": "stacked",
    "members": {"fast": {"name": "stacked"}, "fine_tuned": {"name": "fine_tuned"}},
    "n_folds": 6,
}
"""Milliseconds to score and minutes a fold to train: ``fast`` with a fine-tuned encoder beside it.

Where there are many labels the encoder is fitted once and weights come from one inner fold: two
members have four weights, not fourteen."""
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
_MEMBERS: Final = "12"
"""Raise it when the code of an estimator changes that is no stack, so that none of the predictions
kept from before are used."""
_STACKS: Final = "2"
"""Raise it when the code of stacks, trust or calibration changes; members are used again."""
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
    """

    quality: FloatArray
    cost_usd: FloatArray
    score_ms: FloatArray


def run(
    data: Path,
    out: Path,
    *,
    test_data: Path | None = None,
    workloads: Sequence[str] = WORKLOADS,
    plots: Path | None = None,
    tier: str = "fast",
    cache: Path = Path(".cache"),
    methods: Mapping[str, Mapping[str, Any]] = ESTIMATORS,
    folds: int = N_FOLDS,
    ablation: bool = False,
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
    tier : ``best`` adds a stack with a fine-tuned encoder; ``docs/results`` has its time
    cache : folder for the encoder and for predictions
    methods : estimator specs by name; ``random`` and ``oracle`` come in any case
    ablation : also the blend without each of its members, and a student taught by the blend
    folds : test on the first so many of the folds or draws, when time is short

    Raises
    ------
    ConfigError
        If a workload or the tier is not there.
    """
    if tier not in ("fast", "best") or not 1 <= folds <= N_FOLDS:
        raise ConfigError(
            f"tier must be 'fast' or 'best' and folds 1 to {N_FOLDS}, got {tier!r} and {folds}"
        )
    if tier == "best":
        methods = {**methods, "best": BEST}
    if ablation:
        methods = {**methods, **ABLATION}
    encoder = get_encoder(cache=cache)
    results: dict[str, Any] = json.loads(out.read_text()) if out.is_file() else {}
    results.setdefault("workloads", {})
    for name in workloads:
        started = time.perf_counter()
        bench = _Bench(name, data, test_data, encoder, cache / "benchmark-quality", folds)
        table, drawings = bench.measure(methods)
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
    """One workload: its data, its splits, and what each method predicts on them."""

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
        own = read_workload(name, data)
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
        self, methods: Mapping[str, Mapping[str, Any]]
    ) -> tuple[dict[str, metrics.Metrics], dict[str, FloatArray]]:
        """Metrics by method, and what figures are drawn from: predictions on the test rows."""
        table: dict[str, metrics.Metrics] = {}
        drawings: dict[str, FloatArray] = {}
        with progress(self.name, len(methods) * len(self.splits)) as advance:
            for method, spec in methods.items():
                parts = [self._scored(method, spec, f, advance) for f in range(len(self.splits))]
                table[method] = self._summary(parts)
                if self.n_labels is None:
                    drawings[method] = self._pooled([part.quality for part in parts])
                    drawings[f"{method}:cost"] = self._pooled([part.cost_usd for part in parts])
        for method in ("random", "oracle"):
            parts = [self._reference(method, f) for f in range(len(self.splits))]
            row = self._summary(parts)
            drop = ("ece", "brier")
            table[method] = {key: value for key, value in row.items() if key not in drop}
        return table, drawings

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
        return row | metrics.two_candidates(
            scored.quality[:, 1] - scored.quality[:, 0], truth, groups
        )

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

    def _scored(
        self, method: str, spec: Mapping[str, Any], fold: int, advance: Callable[[int], None]
    ) -> Scored:
        split = self.splits[fold]
        path = self.cache / self.name / f"{method}-{fold}-{self._key(spec, split)}.npz"
        if not path.is_file():
            scored = self._fit(self._estimator(spec), split, timed=fold == 0)
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".partial.npz")
            np.savez(partial, quality=scored.quality, cost=scored.cost_usd, ms=scored.score_ms)
            partial.rename(path)
        with np.load(path) as before:
            advance(1)
            return Scored(before["quality"], before["cost"], before["ms"])

    def _key(self, spec: Mapping[str, Any], split: Split) -> str:
        """Hash of all that decides the predictions; of the code, what was raised by hand."""
        head = "|".join([_MEMBERS, _STACKS, described(spec), self.encoder.digest])
        digest = hashlib.blake2b(head.encode(), digest_size=12)
        for array in (split.train, split.test, self.truth.quality, self.batch.tokens.flat):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def _estimator(self, spec: Mapping[str, Any]) -> Estimator:
        """With its members' predictions kept apart, so that blends share them."""
        return kept(spec, self.cache / self.name / "members", f"{_MEMBERS}|{self.encoder.digest}")

    def _fit(self, estimator: Estimator, split: Split, *, timed: bool) -> Scored:
        truth, train, test = self.truth, split.train, split.test
        learn, judge = self.batch.take(train), self.batch.take(test)
        table = truth.candidates
        groups = self.groups[train]
        estimator.fit(learn, truth.quality[train], candidates=table, groups=groups)
        cost = np.full((len(test), len(table)), np.nan)
        if truth.has_cost:
            sent, got = AmountEstimator(link="identity"), AmountEstimator(link="log")
            sent.fit(learn, truth.input_tokens[train], candidates=table)
            got.fit(learn, truth.output_tokens[train], candidates=table)
            cost = table.cost_usd(sent.predict(judge, table), got.predict(judge, table))
        quality = estimator.predict(judge, table)
        times: FloatArray = np.zeros(0)
        if timed:
            times = self._time(estimator, test[:: max(1, len(test) // _TIMED)][:_TIMED])
        return Scored(quality, cost, times)

    def _time(self, estimator: Estimator, rows: IntArray) -> FloatArray:
        """Milliseconds from a prompt's text to every candidate's quality, one at a time."""
        load_heads()
        graph = GraphBuilder()
        features = add_encoder(graph, self.encoder)
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
    shown = {
        LLMROUTER: ("routed_quality", "difference_to_best_single", "oracle_gap_closed"),
        BFCL: (
            "quality_at_25pct_cost",
            "quality_at_100pct_cost",
            "difference_to_best_single",
            "cost_share_at_best_single_less_1pt",
        ),
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
