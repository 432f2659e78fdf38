"""Search for the estimator that routes best, and say how much of its score is luck.

The best of many trials is flattered by having been chosen. So the search is repeated without each
outer fold of prompts, and what it found there is judged on that fold: the difference is the
optimism of searching (Varma and Simon, "Bias in Error Estimation When Using Cross-Validation for
Model Selection", BMC Bioinformatics 2006).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna
import yaml

from pipelines.artifacts import SearchFolder
from pipelines.config import SearchConfig, dump_config
from pipelines.console import console, progress
from pipelines.registry.trials import Recorder
from pipelines.stages.contest import open_contest
from pipelines.stages.search_space import DEFAULT, Space, default_space
from pipelines.stages.search_time import score_ms
from router_ml.data.groups import hash_folds
from router_ml.errors import ConfigError, DataError
from router_ml.estimators.registry import make_estimator
from router_ml.evaluation.intervals import Estimate, bootstrap_mean
from router_ml.features.encoder import Encoder
from router_ml.learning.contest import Contest, Entry, enter
from router_ml.types.arrays import FloatArray

WHOLE: Final = "whole"
"""Name of the search over all prompts."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one search came to.

    Parameters
    ----------
    spec : of the best trial
    gain : mean gain over the hull of that trial, over inner folds
    """

    spec: dict[str, Any]
    gain: float


def run(config: SearchConfig, *, space: Space = default_space) -> Path:
    """Search, judge the search, and write ``search.json``, ``quality.yaml`` and the trials.

    Returns
    -------
    The folder, ``config.output``.

    Raises
    ------
    ConfigError
        If the folder holds a search on other data.
    DataError
        If no trial could be finished.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    config.output.mkdir(parents=True, exist_ok=True)
    written = SearchFolder(config.output)
    dump_config(config, written.config)
    contest, encoder = open_contest(
        config.joined, config.matrix, learning=config.learning, cache=config.cache
    )
    share_s = config.allowance_s / (1 + config.outer_folds)
    total = config.n_trials * (1 + config.outer_folds)
    with (
        progress("searching", total) as advance,
        Recorder(config.tracked, config.experiment) as recorder,
    ):
        job = _Search(config, encoder, space, share_s, recorder, advance)
        best = job.run(WHOLE, contest)
        report: dict[str, Any] = {"spec": best.spec, "inner_gain": best.gain, **job.counts(WHOLE)}
        if config.outer_folds:
            report |= _nested(config, contest, job)
        report["text"] = _text(report)
        recorder.finish(report)
    written.report.write_text(json.dumps(report, indent=1), encoding="utf-8")
    written.quality.write_text(yaml.safe_dump({"quality": best.spec}), encoding="utf-8")
    console.print(report["text"], markup=False, highlight=False, soft_wrap=True)
    return config.output


class _Search:
    """Runs searches that share their settings.

    Parameters
    ----------
    seconds : that each may take
    advance : told 1 after every trial
    """

    def __init__(
        self,
        config: SearchConfig,
        encoder: Encoder,
        space: Space,
        seconds: float,
        recorder: Recorder,
        advance: Callable[[int], None],
    ) -> None:
        self.config = config
        self.encoder = encoder
        self.space = space
        self.seconds = seconds
        self.recorder = recorder
        self.advance = advance

    def run(self, name: str, contest: Contest) -> Found:
        """Go on with the search of this name, or begin it; the best of its trials."""
        study = self.study(name, contest)
        left = self.config.n_trials - len(study.trials)
        if not study.trials and self.space is default_space:
            study.enqueue_trial(DEFAULT)
        if left > 0:
            study.optimize(
                lambda trial: self._objective(trial, name, contest),
                n_trials=left,
                timeout=self.seconds,
                callbacks=[lambda _, trial: self._told(name, trial)],
            )
        done = [t for t in study.trials if t.state == optuna.trial.TrialState.COMPLETE]
        if not done:
            raise DataError(
                "no trial could be finished within the allowance; raise allowance_s, or score_ms"
            )
        best = max(done, key=lambda trial: trial.value or -np.inf)
        return Found(best.user_attrs["spec"], float(best.value or 0.0))

    def study(self, name: str, contest: Contest) -> optuna.Study:
        """The study of this name; it is of these rows or refused."""
        study = optuna.create_study(
            study_name=name,
            storage=f"sqlite:///{SearchFolder(self.config.output).trials}",
            sampler=optuna.samplers.TPESampler(
                seed=self.config.random_state, n_startup_trials=8, multivariate=False
            ),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=5),
            direction="maximize",
            load_if_exists=True,
        )
        of = {"rows": len(contest.data), "judged": len(contest.truth),
              "known": contest.known, "folds": self.config.folds}  # fmt: skip
        if study.user_attrs.get("of", of) != of:
            raise ConfigError(
                f"{self.config.output} holds a search on other rows ({study.user_attrs['of']}, "
                f"here {of}); name another output"
            )
        study.set_user_attr("of", of)
        return study

    def counts(self, name: str) -> dict[str, Any]:
        """How many trials there were, and how many were cut short."""
        study = optuna.load_study(
            study_name=name, storage=f"sqlite:///{SearchFolder(self.config.output).trials}"
        )
        states = [trial.state for trial in study.trials]
        return {
            "trials": len(states),
            "pruned": sum(state == optuna.trial.TrialState.PRUNED for state in states),
        }

    def _objective(self, trial: optuna.Trial, name: str, contest: Contest) -> float:
        spec = self.space(trial)
        trial.set_user_attr("spec", spec)
        gains: list[float] = []
        for fold in range(self.config.folds):
            entry = enter(
                contest, make_estimator(spec), n_folds=self.config.folds, fold=fold, part=1
            )
            if fold == 0 and self.config.score_ms is not None:
                took = score_ms(entry.quality, contest, self.encoder)
                trial.set_user_attr("score_ms", took)
                if took > self.config.score_ms:
                    raise optuna.TrialPruned(f"{took:.2f} ms a request")
            gains.append(float(entry.played.gains.mean()))
            trial.report(float(np.mean(gains)), fold)
            if trial.should_prune():
                raise optuna.TrialPruned
        return float(np.mean(gains))

    def _told(self, name: str, trial: optuna.trial.FrozenTrial) -> None:
        self.advance(1)
        self.recorder.record(name, trial)


def _nested(config: SearchConfig, contest: Contest, job: _Search) -> dict[str, Any]:
    """What the search found without each outer fold, judged on it; beside the default's."""
    n = config.outer_folds
    mine = hash_folds(contest.data.group_id, n_folds=n)
    judged = hash_folds(contest.truth.group_id, n_folds=n)
    found, default, inner = [], [], []
    for fold in range(n):
        inside = replace(
            contest.take(judged != fold), data=contest.data.take(mine != fold)
        )  # fmt: skip
        best = job.run(f"without fold {fold}", inside)
        inner.append(best.gain)
        found.append(_gains(enter(contest, make_estimator(best.spec), n_folds=n, fold=fold)))
        stack = make_estimator({"name": "stacked"})
        default.append(_gains(enter(contest, stack, n_folds=n, fold=fold)))
    order = np.concatenate([np.flatnonzero(judged == fold) for fold in range(n)])
    groups = contest.truth.groups[order]
    rows, plain = np.concatenate(found), np.concatenate(default)
    outer = bootstrap_mean(rows, group_id=groups, n_resamples=1_000)
    flattered = float(np.mean(inner))
    optimism = Estimate(
        flattered - outer.value, flattered - outer.high, flattered - outer.low, outer.n
    )
    lead = bootstrap_mean(rows - plain, group_id=groups, n_resamples=1_000)
    return {
        "gain": outer.as_dict(),
        "optimism": optimism.as_dict(),
        "default_gain": bootstrap_mean(plain, group_id=groups, n_resamples=1_000).as_dict(),
        "lead_over_default": lead.as_dict(),
    }


def _gains(entry: Entry) -> FloatArray:
    """Gain over the hull of every row, mean over budgets, shape (n,)."""
    rows: FloatArray = entry.played.gains.mean(axis=1)
    return rows


def _text(report: dict[str, Any]) -> str:
    """What was found, and what of it to believe."""
    told = (
        f"Best of {report['trials']} trials ({report['pruned']} cut short): "
        f"{report['spec']['name']}, {100 * report['inner_gain']:+.2f} points above the hull on the "
        "folds that it was chosen by."
    )
    if "gain" not in report:
        return told + " That is flattered by the choice; by how much was not measured."
    gain, lead = report["gain"], report["lead_over_default"]
    return (
        f"{told} Searches without an outer fold, judged on it: {100 * gain['value']:+.2f} points "
        f"({100 * gain['low']:+.2f} to {100 * gain['high']:+.2f}), so searching flatters by "
        f"{100 * report['optimism']['value']:.2f}; against the default without search "
        f"{100 * lead['value']:+.2f} ({100 * lead['low']:+.2f} to {100 * lead['high']:+.2f})."
    )
