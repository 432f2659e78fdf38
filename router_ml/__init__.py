"""Learn, judge, export and score LLM routers.

``import router_ml as rm`` loads nothing; each name below is looked up when it is first used, in
``pipelines.api``, which calls the same stages as the command line.

Examples
--------
From an export to a version in the registry, on the samples that come with the package:

>>> import router_ml as rm
>>> log = rm.read_log(rm.sample("export.csv"), mapping=rm.sample("mapping.yaml"),
...     labels=[rm.sample("thumbs.csv")], prices=rm.sample("prices.csv"))
>>> log
Log(750 requests, 416 labelled, 3 candidates, $0.64)
>>> cv = rm.compare(log, ["cluster_table", "knn", "stacked"], folds=5)
>>> sorted(cv.summary["method"])
['cluster_table', 'knn', 'stacked']
>>> len(cv.table()), len(cv.plot(baseline="today").axes)
(24, 1)
>>> router = rm.fit(log, policy=rm.Budget(cost_share=0.25))
>>> router.predict(["Write a parser", "Prove it rigorously"])["chosen"].sum()
np.int64(2)
>>> chosen = router.route("Write a parser").candidate
>>> router.explain("Write a parser").text.startswith(chosen)
True
>>> cheaper = router.with_prices({"delta-max": (0.2, 0.6)})
>>> cheaper.traffic(log).columns.tolist()
['candidate', 'today', 'router', 'change', 'cost_usd']

A table of scores does without a log, and a new candidate takes a few labels of it:

>>> scores, names = rm.sample_scores(), ["atlas-nano", "delta-max"]
>>> costs = {"atlas-nano": 0.00005, "delta-max": 0.0023}
>>> rm.fit_scores(scores["prompt"], scores[names], costs).candidates.names
('atlas-nano', 'delta-max')
>>> few = scores[["prompt", "delta-max"]].head(100).rename(columns={"delta-max": "quality"})
>>> router.add_candidate("new-model", labels=few, price=(1.0, 3.0)).candidates.names
('atlas-medium', 'atlas-nano', 'delta-max', 'new-model')

Judge it, keep it, and let the gate say whether it may serve:

>>> rm.evaluate(router, log).report("report.html").name
'report.html'
>>> router.save("bundle").name, rm.load("bundle").candidates.names
('bundle', ('atlas-medium', 'atlas-nano', 'delta-max'))
>>> router.log_to_mlflow(register=True).version
'1'
>>> rm.promote("router").challenger
'1'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pipelines.api.comparing import compare
    from pipelines.api.comparison import Comparison
    from pipelines.api.evaluation import Evaluation, evaluate
    from pipelines.api.explanation import Explanation
    from pipelines.api.fitting import fit, fit_scores, load
    from pipelines.api.labelling import LabelProposal, propose_labels
    from pipelines.api.log import Log, inspect, read_log
    from pipelines.api.onboarding import Onboarding, onboard
    from pipelines.api.policies import Budget
    from pipelines.api.registry import Registered, promote, rollback
    from pipelines.api.regressor import QualityRegressor
    from pipelines.api.router import Router
    from pipelines.api.samples import sample, sample_log, sample_scores
    from pipelines.api.scores import read_scores
    from pipelines.api.searching import SearchResult, search
    from router_ml.policies.constant import ConstantPolicy as Constant
    from router_ml.policies.cost_aware import CostAwarePolicy as CostAware
    from router_ml.policies.exploration import BoltzmannPolicy as Boltzmann
    from router_ml.policies.exploration import EpsilonGreedyPolicy as EpsilonGreedy
    from router_ml.policies.quality_floor import QualityFloorPolicy as QualityFloor

_API: Final = "pipelines.api."
_POLICIES: Final = "router_ml.policies."
_HOMES: Final[dict[str, str]] = {
    "Boltzmann": f"{_POLICIES}exploration:BoltzmannPolicy",
    "Budget": f"{_API}policies:Budget",
    "Comparison": f"{_API}comparison:Comparison",
    "Constant": f"{_POLICIES}constant:ConstantPolicy",
    "CostAware": f"{_POLICIES}cost_aware:CostAwarePolicy",
    "EpsilonGreedy": f"{_POLICIES}exploration:EpsilonGreedyPolicy",
    "Evaluation": f"{_API}evaluation:Evaluation",
    "Explanation": f"{_API}explanation:Explanation",
    "LabelProposal": f"{_API}labelling:LabelProposal",
    "Log": f"{_API}log:Log",
    "Onboarding": f"{_API}onboarding:Onboarding",
    "QualityFloor": f"{_POLICIES}quality_floor:QualityFloorPolicy",
    "QualityRegressor": f"{_API}regressor:QualityRegressor",
    "Registered": f"{_API}registry:Registered",
    "Router": f"{_API}router:Router",
    "compare": f"{_API}comparing:compare",
    "SearchResult": f"{_API}searching:SearchResult",
    "evaluate": f"{_API}evaluation:evaluate",
    "fit": f"{_API}fitting:fit",
    "fit_scores": f"{_API}fitting:fit_scores",
    "inspect": f"{_API}log:inspect",
    "load": f"{_API}fitting:load",
    "onboard": f"{_API}onboarding:onboard",
    "promote": f"{_API}registry:promote",
    "propose_labels": f"{_API}labelling:propose_labels",
    "read_log": f"{_API}log:read_log",
    "read_scores": f"{_API}scores:read_scores",
    "rollback": f"{_API}registry:rollback",
    "sample": f"{_API}samples:sample",
    "sample_log": f"{_API}samples:sample_log",
    "sample_scores": f"{_API}samples:sample_scores",
    "search": f"{_API}searching:search",
}
"""Public name -> ``module:name`` of where it is defined."""

__all__ = [
    "Boltzmann",
    "Budget",
    "Comparison",
    "Constant",
    "CostAware",
    "EpsilonGreedy",
    "Evaluation",
    "Explanation",
    "LabelProposal",
    "Log",
    "Onboarding",
    "QualityFloor",
    "QualityRegressor",
    "Registered",
    "Router",
    "SearchResult",
    "compare",
    "evaluate",
    "fit",
    "fit_scores",
    "inspect",
    "load",
    "onboard",
    "promote",
    "propose_labels",
    "read_log",
    "read_scores",
    "rollback",
    "sample",
    "sample_log",
    "sample_scores",
    "search",
]


def __getattr__(name: str) -> Any:
    """Look a public name up where it is defined, once.

    Raises
    ------
    AttributeError
        If there is no such name.
    ImportError
        If what trains is not installed.
    """
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'router_ml' has no attribute {name!r}")
    module, _, attribute = home.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"router_ml.{name} needs {error.name}, which is not installed; install "
            "router-ml[train,encoders]"
        ) from error
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
