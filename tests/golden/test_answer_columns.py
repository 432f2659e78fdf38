"""Answers as the first released scorer saw them: a bundle that lists no readers is served as then.

``first_answer_columns.json`` holds columns, answers, rows and agreements, written by commit
58fa12d, the last one before readers had names.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from router_ml.bundle.files import read_bundle
from router_ml.cascade.answers.layout import AnswerLayout
from router_ml.cascade.answers.table import AnswerTable
from router_ml.cascade.export import export_answer
from router_ml.cascade.policies.cascade import CascadePolicy
from router_ml.cascade.runtime.attempt import Attempt
from router_ml.cascade.runtime.cascade import CascadeRuntime
from router_ml.cascade.runtime.files import ANSWER, CASCADE
from router_ml.cascade.scorer import AnswerScorer
from router_ml.features.query import Query
from router_ml.runtime.runtime import Runtime
from tests.bundles import make_bundle
from tests.cascades import arithmetic_world

GOLDEN: Final = json.loads(
    (Path(__file__).parent / "first_answer_columns.json").read_text(encoding="utf-8")
)
LAYOUT: Final = AnswerLayout.from_dict({"columns": GOLDEN["columns"]})


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=["calls", "numbers"])
def test_rows_are_those_of_the_first_release(case: dict[str, Any]) -> None:
    query = Query(case["ask"], tools=tuple(case["tools"]))
    table = AnswerTable.of([query], [case["answers"]], layout=LAYOUT)
    np.testing.assert_allclose(table.own[0], case["own"], atol=1e-6)
    np.testing.assert_allclose(table.alike[0], case["alike"], atol=1e-6)


def test_a_bundle_without_readers_is_served(tmp_path: Path) -> None:
    queries, answers, quality, _ = arithmetic_world()
    scorer = AnswerScorer(n_trees=20, n_splits=3, repeats=2)
    scorer.fit(AnswerTable.of(queries, answers, layout=LAYOUT), quality)
    policy = CascadePolicy(order=(0, 1, 2), thresholds=(0.8, 0.8))
    spec = {"policy": policy.to_dict(), "columns": GOLDEN["columns"]}
    extras = {ANSWER: export_answer(scorer), CASCADE: json.dumps(spec).encode()}
    make_bundle(tmp_path / "bundle", extras=extras)
    bundle = read_bundle(tmp_path / "bundle")
    cascade = CascadeRuntime(bundle=bundle, runtime=Runtime(bundle=bundle))
    step = cascade.next(queries[0], [Attempt("candidate-0", answers[0][0])])
    table = AnswerTable.of(queries[:1], [[answers[0][0], None, None]], layout=LAYOUT)
    first = np.array([0])
    expected = scorer.predict(table, first, first, table.known[first])[0]
    assert step.estimates["candidate-0"] == pytest.approx(expected, abs=1e-4)
