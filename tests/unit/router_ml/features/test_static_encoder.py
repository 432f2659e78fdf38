"""Static encoders: the maths, the disk, and the graph they end up in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from router_ml.export.encoders import add_encoder
from router_ml.export.graph import GraphBuilder
from router_ml.features.lexical import NAMES
from router_ml.features.query import Query
from router_ml.features.static_encoder import StaticEncoder
from router_ml.features.tokenizer import QueryTokenizer, TokenLayout
from router_ml.runtime.inputs import graph_inputs
from router_ml.runtime.session import open_session
from router_ml.types.arrays import FloatArray
from router_ml.types.queries import Tokens
from tests.bundles import wordpiece


def encoder() -> StaticEncoder:
    tokenizer = wordpiece()
    table = np.random.default_rng(0).normal(size=(tokenizer.get_vocab_size(), 8))
    layout = TokenLayout(pad_id=0, separator_id=0)
    return StaticEncoder(
        table=table.astype(np.float32),
        tokenizer=QueryTokenizer(tokenizer_json=tokenizer.to_str(), layout=layout),
    )


def test_static_is_the_unit_mean_of_unmasked_rows() -> None:
    static = encoder()
    tokens = Tokens.from_rows([[5, 7, 0, 7], [0], [9]])
    mean = (static.table[5] + 2 * static.table[7]) / 3
    vectors = static.encode(tokens)
    assert np.allclose(vectors[0], mean / np.linalg.norm(mean), atol=1e-6)
    assert not vectors[1].any()
    assert np.linalg.norm(vectors[2]) == pytest.approx(1.0, abs=1e-6)


def test_static_survives_the_disk(tmp_path: Path) -> None:
    static = encoder()
    static.save(tmp_path)
    back = StaticEncoder.load(tmp_path)
    assert back.digest == static.digest
    assert back.tokenizer.layout == static.tokenizer.layout


def test_the_graph_gives_the_very_same_floats_alone_and_together() -> None:
    """Trees split on them: not close, equal."""
    static = encoder()
    graph = GraphBuilder()
    features = add_encoder(graph, static)
    graph.output(features.embedding, "embedding", ("batch", static.dims))
    session = open_session(graph.build().SerializeToString(), "a test")
    rng = np.random.default_rng(1)
    sizes = (1, 3, 40, 400, 1, *rng.integers(1, 1024, 60))
    rows = [rng.integers(0, len(static.table), size).tolist() for size in sizes]
    rows[4] = [0]
    tokens = Tokens.from_rows(rows)
    wanted = [node.name for node in session.get_inputs()]

    def run(tokens: Tokens) -> FloatArray:
        lexical = np.zeros((len(tokens), len(NAMES)), dtype=np.float32)
        feed = graph_inputs(wanted, tokens=tokens, lexical=lexical, pad_id=0)
        (vectors,) = session.run(None, feed)
        return np.asarray(vectors)

    batch = run(tokens)
    assert np.array_equal(batch, static.encode(tokens))
    assert not batch[4].any()
    for i in range(len(rows)):
        assert np.array_equal(run(tokens.take(np.array([i])))[0], batch[i])


def test_layout_separates_cuts_and_never_is_empty() -> None:
    layout = TokenLayout(pad_id=0, separator_id=2, prefix_id=1, suffix_id=2, max_tokens=6)
    nothing, seven = np.zeros(0, dtype=np.int64), np.array([7])
    assert layout.row(np.array([5, 6]), seven).tolist() == [1, 5, 6, 2, 7, 2]
    assert layout.row(np.array([5] * 20), seven).tolist() == [1, 5, 5, 5, 5, 2]
    plain = TokenLayout(pad_id=0, separator_id=0, max_tokens=4)
    assert plain.row(nothing, nothing).tolist() == [0]
    assert plain.row(nothing, seven).tolist() == [0, 7]
    assert plain.row(np.array([5] * 3), seven).tolist() == [5, 5, 5, 0]


def test_rows_of_many_are_rows_of_one() -> None:
    tokenizer = encoder().tokenizer
    queries = [Query("mix blue"), Query(""), Query("x" * 50_000)]
    for row, query in zip(tokenizer.rows(queries), queries, strict=True):
        assert np.array_equal(row, tokenizer.row(query))
