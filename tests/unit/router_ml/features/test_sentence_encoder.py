"""A frozen sentence encoder beside the static one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from router_ml.export.encoders import add_encoder
from router_ml.export.graph import GraphBuilder
from router_ml.features.lexical import NAMES
from router_ml.features.sentence_encoder import SentenceEncoder
from router_ml.features.static_encoder import StaticEncoder
from router_ml.features.tokenizer import QueryTokenizer, TokenLayout
from router_ml.runtime.inputs import graph_inputs
from router_ml.runtime.session import open_session
from router_ml.types.queries import Tokens
from tests.bundles import wordpiece

# Exports MiniLM and compares it with sentence-transformers, in a process of its own: their
# warnings are theirs, and tests take every warning for an error.
_MINILM = """
import json, sys
from pathlib import Path
import numpy as np
from sentence_transformers import SentenceTransformer
from pipelines.encoders import get_encoder
from router_ml.features.distill import DEFAULT_MODEL, resolve_model
from router_ml.features.query import Query
from router_ml.features.sentence_export import export_sentence_encoder
from router_ml.types.queries import Tokens

texts = ["How do I mix blue and yellow?", "x", "Prove that 2 + 2 = 4. " * 8, "Wie spät ist es?"]
encoder = get_encoder(cache=Path(sys.argv[1]), kind="sentence")
static = encoder.inner.static
tokens = Tokens.from_rows(encoder.tokenizer.rows([Query(text) for text in [*texts, "word " * 500]]))
exact = export_sentence_encoder(DEFAULT_MODEL, static, quantize=False).encode(tokens)
ours, again = encoder.encode(tokens), encoder.encode(tokens)
alone = np.vstack([encoder.inner.encode(tokens.take(np.array([i]))) for i in range(5)])
model = SentenceTransformer(resolve_model(DEFAULT_MODEL), device="cpu")
theirs = model.encode(texts, normalize_embeddings=True)
half = 2 ** 0.5
print(json.dumps({
    "cosine": (ours[:4, static.dims:] * half * theirs).sum(axis=1).tolist(),
    "exact": float(np.abs(exact[:4, static.dims:] * half - theirs).max()),
    "alone": float(np.abs(ours - alone).max()),
    "cached": bool((ours == again).all()),
    "dims": encoder.dims,
}))
"""


def encoder() -> SentenceEncoder:
    """Three dimensions of a static encoder; sentences are counts of tokens 5 and 6, normed."""
    tokenizer = wordpiece()
    n = tokenizer.get_vocab_size()
    static = StaticEncoder(
        table=np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32),
        tokenizer=QueryTokenizer(
            tokenizer_json=tokenizer.to_str(), layout=TokenLayout(pad_id=0, separator_id=0)
        ),
    )
    table = np.zeros((n, 2), dtype=np.float32)
    table[5, 0] = table[6, 1] = 1.0
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
            helper.make_node("ReduceSum", ["rows", "axis"], ["total"], keepdims=0),
            helper.make_node("LpNormalization", ["total"], ["embedding"], axis=1, p=2),
        ],
        "sentence",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array([1]), "axis")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return SentenceEncoder(static=static, onnx_model=model.SerializeToString())


TOKENS = Tokens.from_rows([[5, 6], [6, 7, 6, 9], [5]])


def test_static_part_comes_first_and_both_have_unit_length() -> None:
    both = encoder()
    vectors = both.encode(TOKENS)
    assert both.dims == 5
    assert np.array_equal(vectors[:, :3], both.static.encode(TOKENS) * np.float32(0.5**0.5))
    assert np.allclose(vectors[:, 3:], np.array([[0.5, 0.5], [0, 0.5**0.5], [0.5**0.5, 0]]))
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)


def test_survives_the_disk(tmp_path: Path) -> None:
    both = encoder()
    both.save(tmp_path)
    back = SentenceEncoder.load(tmp_path)
    assert back.digest == both.digest
    assert np.array_equal(back.encode(TOKENS), both.encode(TOKENS))


def test_the_graph_gives_the_same() -> None:
    both = encoder()
    graph = GraphBuilder()
    features = add_encoder(graph, both)
    graph.output(features.embedding, "embedding", ("batch", both.dims))
    session = open_session(graph.build().SerializeToString(), "a test")
    feed = graph_inputs(
        [node.name for node in session.get_inputs()],
        tokens=TOKENS,
        lexical=np.zeros((3, len(NAMES)), dtype=np.float32),
        pad_id=0,
    )
    (vectors,) = session.run(None, feed)
    assert np.array_equal(np.asarray(vectors)[:, :3], both.encode(TOKENS)[:, :3])
    assert np.allclose(np.asarray(vectors), both.encode(TOKENS), atol=1e-6)


@pytest.mark.slow
def test_a_frozen_encoder_is_its_model_but_for_int8(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _MINILM, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["exact"] < 1e-5
    assert min(result["cosine"]) > 0.98
    assert result["alone"] < 1e-6  # one scale for a whole call would make it 0.03
    assert result["cached"]
    assert result["dims"] == 256 + 384
