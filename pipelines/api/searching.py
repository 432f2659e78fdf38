"""Search for an estimator within an allowance, and what of its score to believe."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipelines.api import display
from pipelines.api.log import Log, as_log
from pipelines.api.workspace import Workspace, bars, cache_folder
from pipelines.artifacts import SearchFolder
from pipelines.config import SearchConfig
from pipelines.options import load_config
from pipelines.stages import search as stage

if TYPE_CHECKING:
    from pipelines.stages.search_space import Space


class SearchResult:
    """What :func:`search` found.

    Parameters
    ----------
    folder : that ``router-ml search`` wrote
    keep : temporary folders that go with this object

    Attributes
    ----------
    folder : pathlib.Path

    Examples
    --------
    >>> import router_ml as rm
    >>> found = rm.search(rm.sample_log(matrix=True), n_trials=1, outer_folds=0, folds=2,
    ...     space=lambda trial: {"name": "linear"})
    >>> len(found.trials)
    1
    """

    def __init__(self, folder: Path | str, *, keep: tuple[Workspace, ...] = ()) -> None:
        self.folder = Path(folder)
        self.kept = keep

    @cached_property
    def report(self) -> Mapping[str, Any]:
        """Every number; gains are quality above the hull, the mean over budgets.

        ``inner_gain`` is that of the best trial on the folds that chose it, ``gain`` that of the
        search on folds it had not seen, ``optimism`` the difference; ``default_gain`` and
        ``lead_over_default`` are of the estimator that needs no search. All but the first are
        ``{value, low, high, n}``, and absent without outer folds.
        """
        found: dict[str, Any] = json.loads(SearchFolder(self.folder).report.read_text("utf-8"))
        return found

    @property
    def best(self) -> dict[str, Any]:
        """The best estimator's spec, for ``fit(log, estimator=...)``."""
        return dict(self.report["spec"])

    @property
    def trials(self) -> pd.DataFrame:
        """A row a trial: ``search``, ``number``, ``state``, ``hull_gain``, ``score_ms``, ``spec``.

        ``hull_gain`` of a trial that was cut short is of the folds that it got; ``score_ms``,
        milliseconds a request, is there where it is limited.
        """
        import optuna

        storage = f"sqlite:///{SearchFolder(self.folder).trials}"
        rows = [
            {
                "search": name,
                "number": trial.number,
                "state": trial.state.name.lower(),
                "hull_gain": trial.value,
                "score_ms": trial.user_attrs.get("score_ms"),
                "spec": trial.user_attrs.get("spec"),
            }
            for name in optuna.get_all_study_names(storage)
            for trial in optuna.load_study(study_name=name, storage=storage).trials
        ]
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        return f"SearchResult({self.report['text']})"

    def _repr_html_(self) -> str:
        frame = self.trials
        top = frame[frame["search"] == stage.WHOLE].nlargest(5, "hull_gain")
        rows = [
            (json.dumps(row["spec"]), display.number(row["hull_gain"], 2, 100.0),
             display.number(row["score_ms"], 2))
            for row in top.to_dict("records")
        ]  # fmt: skip
        return display.block(
            display.head("Search"),
            display.line(str(self.report["text"])),
            display.table(("best trials", "above hull, points", "ms a request"), rows),
        )


def search(
    log: Log | Path | str,
    *,
    allowance_s: float = 600.0,
    n_trials: int = 40,
    score_ms: float | None = None,
    space: Space | None = None,
    output: Path | str | None = None,
    cache: Path | str | None = None,
    **options: Any,
) -> SearchResult:
    """Find the estimator that routes best on a log; what ``router-ml search`` does.

    Trials are judged by mean quality above the hull over budgets, on inner folds of prompts, and
    cut short where they are behind; the first is the default. The best of many is flattered by the
    choice, so the search is repeated without each outer fold and judged on it. A search with an
    ``output`` that is there already goes on where it was.

    Parameters
    ----------
    log : of :func:`read_log` or :func:`read_scores`
    allowance_s : seconds, for all searches together
    n_trials : most trials of each search
    score_ms : milliseconds that scoring a request may take through the exported graph, optional
    space : trial of Optuna to an estimator's spec; default:
        :func:`pipelines.stages.search_space.default_space`
    output : folder to keep the search in; default: a temporary one
    cache : folder for encoders
    options : further keys of the search, such as ``folds``, ``outer_folds`` or ``tracked``

    Raises
    ------
    ConfigError
        If an option is wrong, or the folder holds a search on other data.
    DataError
        If no trial could be finished.

    References
    ----------
    .. [1] Akiba et al., "Optuna: A Next-generation Hyperparameter Optimization Framework", 2019.
    .. [2] Varma and Simon, "Bias in Error Estimation When Using Cross-Validation for Model
       Selection", BMC Bioinformatics 7:91, 2006.

    Examples
    --------
    >>> import router_ml as rm
    >>> found = rm.search(rm.sample_log(matrix=True), n_trials=2, outer_folds=0, folds=2,
    ...     space=lambda trial: {"name": trial.suggest_categorical("kind", ["knn", "linear"])})
    >>> sorted(found.trials["spec"].map(lambda spec: spec["name"]).unique())[0] in ("knn", "linear")
    True
    """
    source, keep = as_log(log), Workspace(output)
    config = load_config(
        SearchConfig,
        overrides={
            **options,
            "joined": source.folder,
            "matrix": source.matrix,
            "allowance_s": allowance_s,
            "n_trials": n_trials,
            "score_ms": score_ms,
            "output": keep.path,
            "cache": cache_folder(cache),
        },
    )
    with bars():
        folder = stage.run(config) if space is None else stage.run(config, space=space)
    return SearchResult(folder, keep=(keep, *source.kept))
