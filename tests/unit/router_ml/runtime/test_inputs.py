"""Graphs of either format get what they ask for, in any batch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from router_ml.export.parity import odd_queries
from router_ml.features.query import Query
from router_ml.runtime import parts as module
from router_ml.runtime.inputs import INPUTS, graph_inputs
from router_ml.runtime.runtime import Runtime
from router_ml.types.queries import Tokens
from tests.bundles import make_bundle

TOKENS = Tokens.from_rows([[5, 0, 7], [0], [9, 9]])
LEXICAL = np.zeros((3, 24), dtype=np.float32)


def test_padding_is_left_out_but_where_it_is_asked_for() -> None:
    feed = graph_inputs(list(INPUTS), tokens=TOKENS, lexical=LEXICAL, pad_id=0)
    assert feed["tokens"].tolist() == [5, 7, 9, 9]
    assert feed["token_rows"].tolist() == [[0], [0], [2], [2]]
    assert feed["input_ids"].tolist() == [[5, 0, 7], [0, 0, 0], [9, 9, 0]]
    assert feed["term_rows"][:3].tolist() == [[0], [0], [2]]
    for name, (dtype, shape) in INPUTS.items():
        assert (feed[name].dtype, feed[name].ndim) == (dtype, len(shape))


def test_only_what_is_wanted_is_made() -> None:
    feed = graph_inputs(["lexical", "tokens"], tokens=TOKENS, lexical=LEXICAL, pad_id=0)
    assert list(feed) == ["lexical", "tokens"]


@pytest.mark.parametrize("padded", [True, False])
def test_alone_as_together_in_parts_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, padded: bool
) -> None:
    make_bundle(tmp_path / "bundle", padded=padded)
    if padded:  # as format 1 had it
        path = tmp_path / "bundle" / "manifest.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 1}))
    runtime = Runtime.from_folder(tmp_path / "bundle")
    queries = [*odd_queries(), *(Query("mix blue " * n) for n in range(40))]
    monkeypatch.setattr(module, "_TOKENS", 1_500)
    together = runtime.predict(queries)
    for i, query in enumerate(queries):
        alone = runtime.predict_one(query)
        if padded:
            np.testing.assert_allclose(alone.quality[0], together.quality[i], atol=1e-5)
        else:
            np.testing.assert_allclose(alone.quality[0], together.quality[i], atol=1e-6)
