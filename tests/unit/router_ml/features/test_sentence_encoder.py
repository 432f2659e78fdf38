"""A frozen sentence encoder beside the static one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from router_ml.export.encoders import add_encoder
from router_ml.export.graph import GraphBuilder
from router_ml.features.lexical import NAMES
from router_ml.features.sentence_encoder import SentenceEncoder
from router_ml.runtime.inputs import graph_inputs
from router_ml.runtime.session import open_session
from router_ml.types.queries import Tokens
from tests.sentences import sentence_encoder

# Exports MiniLM and compares it with sentence-transformers, in a process of its own: their
# warnings are theirs, and tests take every warning for an error.
_MINILM = """
import json, sys
from pathlib import Path
import numpy as np
from sentence_transformers import SentenceTransformer
from pipelines.encoders import get_encoder
from router_ml.features.distill import DEFAULT_MODEL
from router_ml.features.packaged_models import resolve_model
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


TOKENS = Tokens.from_rows([[5, 6], [6, 7, 6, 9], [5]])


def test_static_part_comes_first_and_both_have_unit_length() -> None:
    both = sentence_encoder()
    vectors = both.encode(TOKENS)
    assert both.dims == 5
    assert np.array_equal(vectors[:, :3], both.static.encode(TOKENS) * np.float32(0.5**0.5))
    assert np.allclose(vectors[:, 3:], np.array([[0.5, 0.5], [0, 0.5**0.5], [0.5**0.5, 0]]))
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)


def test_survives_the_disk(tmp_path: Path) -> None:
    both = sentence_encoder()
    both.save(tmp_path)
    back = SentenceEncoder.load(tmp_path)
    assert back.digest == both.digest
    assert np.array_equal(back.encode(TOKENS), both.encode(TOKENS))


def test_the_graph_gives_the_same() -> None:
    both = sentence_encoder()
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
