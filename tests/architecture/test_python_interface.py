"""``import router_ml as rm``: its names, that it loads nothing, and where each is defined."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import router_ml

NAMES = {
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
    "SearchResult",
}


def test_the_exported_names_are_these() -> None:
    assert set(router_ml.__all__) == NAMES
    assert set(router_ml.__dir__()) >= NAMES
    assert all(getattr(router_ml, name) is not None for name in NAMES)


def test_type_checkers_see_what_is_looked_up() -> None:
    tree = ast.parse(Path(router_ml.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imported = {
        alias.asname or alias.name: f"{node.module}:{alias.name}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported == router_ml._HOMES


def test_importing_it_loads_nothing() -> None:
    script = (
        "import json, sys; old = set(sys.modules); import router_ml; "
        "print(json.dumps(sorted(set(sys.modules) - old)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = {name for name in json.loads(done.stdout) if "." not in name}
    assert not loaded & {"pipelines", "numpy", "pandas", "mlflow", "torch", "sklearn", "onnx"}


def test_another_name_is_refused() -> None:
    assert not hasattr(router_ml, "nothing")
