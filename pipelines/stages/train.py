"""Outcomes to a fitted router, kept as plain files that ``export`` turns into a bundle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from hashlib import file_digest
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from pipelines.artifacts import (
    JoinedFolder,
    TrainedFolder,
    check_own,
    read_training_table,
    replaced,
)
from pipelines.config import TrainConfig, dump_config
from pipelines.console import console, progress
from pipelines.encoders import get_encoder
from pipelines.logged_tools import logged_tools
from pipelines.registry.loggers import open_loggers
from router_ml.bundle.files import candidates_to_rows, prices_to_dict
from router_ml.cascade.answers.layout import AnswerLayout
from router_ml.cascade.spec import CascadeConfig
from router_ml.cascade.training import TrainedCascade, logged_answers, train_cascade
from router_ml.data.changes import Change, void_outdated
from router_ml.data.held_out import HeldOut
from router_ml.data.outcomes import UNSETTLED, TrainingTable
from router_ml.data.preferences import Preferences, read_preferences
from router_ml.errors import SchemaError
from router_ml.estimators.base import Estimator
from router_ml.estimators.registry import make_estimator
from router_ml.estimators.router import RouterEstimator, count_bias
from router_ml.estimators.tiers import TIERS
from router_ml.evaluation.comparison import BUDGET_SHARES
from router_ml.evaluation.off_policy.balance import with_loggers
from router_ml.features.encoder import Encoder
from router_ml.features.featurizer import Featurizer
from router_ml.learning.budgets import solve_budgets
from router_ml.learning.changes import find_changes, query_features
from router_ml.learning.few_labels import learnable
from router_ml.learning.held_out import fit_router, hold_out
from router_ml.learning.pairs import with_pairs
from router_ml.learning.reference import reference_statistics
from router_ml.learning.solve_policy import solve_policy
from router_ml.learning.targets import Evidence, evidence_for, training_targets
from router_ml.learning.training_set import TrainingSet, training_set
from router_ml.policies.constant import best_constant
from router_ml.types.arrays import BoolArray
from router_ml.types.predictions import Predictions


def run(config: TrainConfig) -> Path:
    """Train on the training split of a join; returns the folder written.

    Raises
    ------
    ConfigError
        If the output folder holds something else, or the policy cannot be solved.
    SchemaError
        If the training split has no labelled request, and the estimator no card to do without.
    """
    wanted = make_estimator(config.quality)
    check_own(config.output, TrainedFolder(config.output).report)
    table, candidates = read_training_table(
        config.joined, "train", config.candidates or None, config.max_training_rows
    )
    if config.learning != "naive":
        table = with_loggers(table, open_loggers(config.loggers))
    pairs = read_preferences(JoinedFolder(config.joined).preferences, candidates.names)
    pairs = None if pairs is None else pairs.take(pairs.split == "train")
    labelled = np.isfinite(table.quality).any() or (pairs is not None and len(pairs) > 0)
    if wanted.needs_labels and not labelled:
        raise SchemaError(
            f"no labelled request in the training split of {config.joined}; add labels, or start "
            "without: quality: {name: card, card: {candidate: [quality, standard error]}}"
            + UNSETTLED
        )
    encoder = get_encoder(
        cache=config.cache,
        kind=TIERS[config.tier].encoder,
        model=config.encoder_model,
        dims=config.dims,
        max_tokens=config.max_tokens,
    )
    with progress("features", None) as advance:
        weighted = config.learning != "naive"
        data = training_set(table, candidates, encoder, weighted=weighted, on_progress=advance)
    changes: tuple[Change, ...] = ()
    if config.detect_changes:
        changes = find_changes(table, query_features(table, data.batch))
        table = void_outdated(table, changes)
        data = training_set(table, candidates, encoder, weighted=weighted, batch=data.batch)
    told = int(np.isfinite(data.outcomes.quality).sum())
    if pairs is not None and len(pairs):
        with progress("learning from comparisons", None):
            simple, _ = learnable(data, wanted) if told else (wanted, "")
            data = with_pairs(data, pairs, simple, Featurizer(encoder=encoder).transform)
    with progress("fitting estimators", None):
        quality, few = learnable(data, wanted)
        taught = training_targets(data, quality, config.learning)
        router = fit_router(taught, quality)
    with progress("held-out predictions", None):
        held_out = hold_out(router, taught)
    alone = "" if told else _compared(pairs)
    report = {
        "rows": len(table),
        "queries": len(data),
        "labelled_cells": told,
        "comparisons": 0 if pairs is None else len(pairs),
        "binary_labels": bool(np.isin(table.quality[np.isfinite(table.quality)], (0, 1)).all()),
        "selection": dict(router.quality.report_),
        "notes": [note for note in (few, *_untold(data, router.quality), alone) if note],
        "cost_bias_in_sample": _bias(router, data),
        "loggers": "" if table.loggers is None else table.loggers.text,
        "changes": [change.as_dict() for change in changes],
        "fingerprint": _fingerprint(JoinedFolder(config.joined).outcomes),
    }
    cascade = None
    if config.cascade is not None:
        with progress("learning a cascade", None):
            cascade = fit_cascade(config.cascade, table, data, _inside(router, data, held_out))
    return save_trained(config, router, encoder, data, report, cascade, held_out)


def _fingerprint(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def fit_cascade(
    config: CascadeConfig, table: TrainingTable, data: TrainingSet, predictions: Predictions
) -> TrainedCascade:
    """Learn a cascade from a log's answers, on the router's held-out predictions."""
    index = np.arange(len(data))
    if len(data) > config.max_queries:
        index = np.sort(np.random.default_rng(0).permutation(index)[: config.max_queries])
    predictions = predictions.take(index)
    layout = AnswerLayout(readers=config.readers) if config.readers else None
    return train_cascade(
        config,
        logged_answers(table, data.queries, index, layout=layout),
        groups=data.groups[index],
        prior=np.asarray(predictions.quality, dtype=float),
        cost_usd=data.candidates.cost_usd(predictions.input_tokens, predictions.output_tokens),
    )


def save_trained(
    config: TrainConfig,
    router: RouterEstimator,
    encoder: Encoder,
    data: TrainingSet,
    report: Mapping[str, Any],
    cascade: TrainedCascade | None = None,
    held_out: HeldOut | None = None,
) -> Path:
    """Write state, encoder, held-out predictions, solved policies and report; no pickle."""
    predictions = _inside(router, data, held_out)
    known_of = partial(evidence_for, data=data, router=router,
                       held_out=None if held_out is None else held_out.predictions)  # fmt: skip
    policy, learned = solve_policy(
        config.policy,
        predictions,
        data.candidates,
        known_of(config.policy),
        std=router.quality.std_,
    )
    tools, unseen = logged_tools(JoinedFolder(config.joined).outcomes)
    head = {
        "training_id": uuid4().hex,
        "encoder": {"kind": encoder.kind, "source": config.encoder_model},
        "candidates": candidates_to_rows(data.candidates),
        "prices": prices_to_dict(data.candidates),
        "policy": policy.to_dict(),
        "policy_learning": learned,
        "budgets": _budgets(data, predictions, known_of({"name": "budget"})),
        "reference": {**reference_statistics(data), "tools": tools, "tools_unseen": unseen},
        **report,
    }
    head["notes"] = [*head.get("notes", ()), *([learned["note"]] if "note" in learned else ())]
    for sentence in head["notes"]:
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)
    with replaced(config.output, TrainedFolder(config.output).report) as folder:
        written = TrainedFolder(folder)
        router.get_state().save(written.router)
        encoder.save(written.encoder)
        if held_out is not None:
            held_out.save(folder)
        if cascade is not None:
            cascade.scorer.get_state().save(written.answer)
            head["cascade"] = {"policy": cascade.policy.to_dict(), **cascade.report}
        written.report.write_text(json.dumps(head, indent=1), encoding="utf-8")
        dump_config(config, written.config)
    return config.output


def _inside(router: RouterEstimator, data: TrainingSet, held_out: HeldOut | None) -> Predictions:
    """What policies are solved on: held-out predictions, in-sample ones where there are none."""
    if held_out is None:
        return router.predict(data.batch, data.candidates)
    return held_out.predictions


def _budgets(
    data: TrainingSet, predictions: Predictions, known: Evidence | None
) -> dict[str, dict[str, Any]]:
    """Policies at round budgets, by share of what the best constant costs: what evaluation shows.

    They are solved here, where nothing of the evaluation's prompts is known.
    """
    cost_usd = data.candidates.cost_usd(predictions.input_tokens, predictions.output_tokens)
    reference = float(cost_usd[:, best_constant(predictions.quality, cost_usd)].mean())
    solved = solve_budgets(
        predictions,
        data.candidates,
        [share * reference for share in BUDGET_SHARES],
        known,
    )
    return {
        f"{share:g}": policy.to_dict()
        for share, policy in zip(BUDGET_SHARES, solved, strict=True)
        if policy is not None
    }


def _untold(data: TrainingSet, quality: Estimator) -> list[str]:
    """What the log tells nothing of, a sentence each."""
    notes = []
    seen = data.outcomes
    if np.isnan(seen.latency_ms).all():
        notes.append("the log has no latency: it is predicted as 0, and limits on it do nothing")
    labelled: BoolArray = np.asarray(np.isfinite(seen.quality).any(axis=0))
    if unlabelled := [n for n, known in zip(data.candidates.names, labelled, strict=True)
                      if not known]:  # fmt: skip
        how = "taken for average"
        if quality.std_ is not None:
            how = "predicted by card, or by price, provider and the other candidates"
        notes.append(f"no label of {', '.join(unlabelled)}: {how}")
    return notes


def _compared(pairs: Preferences | None) -> str:
    """What it means that comparisons alone were learned from; ``""`` where there are none."""
    if pairs is None or not len(pairs):
        return ""
    return (
        "no label, comparisons alone: quality is 0.5 on average and differences are wins less "
        "losses; a budget policy is right with that, a quality floor means nothing"
    )


def _bias(router: RouterEstimator, data: TrainingSet) -> dict[str, dict[str, float | None]]:
    """Relative bias of predicted mean tokens and cost, by candidate."""
    predictions = router.predict(data.batch, data.candidates)
    seen = data.outcomes
    both = np.isfinite(seen.input_tokens) & np.isfinite(seen.output_tokens)
    cost = data.candidates.cost_usd(
        np.where(both, seen.input_tokens, np.nan), np.where(both, seen.output_tokens, np.nan)
    )
    guess = data.candidates.cost_usd(predictions.input_tokens, predictions.output_tokens)
    pairs = {
        "input_tokens": count_bias(predictions.input_tokens, seen.input_tokens),
        "output_tokens": count_bias(predictions.output_tokens, seen.output_tokens),
        "cost_usd": count_bias(guess, cost),
    }
    return {
        name: {
            part: None if np.isnan(values[k]) else round(float(values[k]), 4)
            for part, values in pairs.items()
        }
        for k, name in enumerate(data.candidates.names)
    }
