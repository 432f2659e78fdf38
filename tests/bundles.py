"""A real, tiny bundle for tests: WordPiece tokenizer, gather, masked mean, linear heads."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from router_ml.bundle.files import BundleContents, write_bundle
from router_ml.bundle.manifest import FeatureSpec, Manifest
from router_ml.export.graph import GraphBuilder
from router_ml.export.inputs import add_input, row_sum
from router_ml.features.lexical import NAMES
from router_ml.policies.base import Policy
from router_ml.policies.cost_aware import CostAwarePolicy
from router_ml.types.candidates import CandidateTable
from router_ml.types.predictions import EMBEDDING

DIMS = 16
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,;:?!()[]{}<>+-*/=_'\"#$%&@|~^`\\"
TEXT = """
the a of to and in is what how which write code python function solve prove integral weather
time price mix blue yellow paint color translate french poem hello find all
"""


def make_bundle(
    folder: Path,
    *,
    n_candidates: int = 3,
    names: Sequence[str] = (),
    random_state: int = 0,
    policy: Policy | None = None,
    tokenizer_json: str | None = None,
    pad_id: int = 0,
    dims: int = DIMS,
    extras: Mapping[str, bytes] | None = None,
    padded: bool = False,
    context_window: Mapping[str, int] | None = None,
    capabilities: Mapping[str, Collection[str]] | None = None,
    provider: Mapping[str, str] | None = None,
    training: Mapping[str, object] | None = None,
    reference: Mapping[str, object] | None = None,
) -> Manifest:
    """Write a bundle whose candidates, ``candidate-0 …`` or ``names``, grow better and dearer.

    Its graph takes tokens in one row, or ``padded`` as format 1 had them. ``context_window`` is in
    tokens, by candidate; the others' is unknown. So are ``capabilities``. With a ``reference`` the
    graph has embeddings.
    """
    text = tokenizer_json or wordpiece().to_str()
    vocabulary: int = Tokenizer.from_str(text).get_vocab_size()
    rng = np.random.default_rng(random_state)
    names = list(names) or [f"candidate-{i}" for i in range(n_candidates)]
    table = CandidateTable.from_prices(
        {name: (0.1 * 3.0**i, 0.4 * 3.0**i) for i, name in enumerate(names)}
    )
    windows = np.array([(context_window or {}).get(name, 0) for name in names])
    able = tuple(frozenset((capabilities or {}).get(name, ())) for name in names)
    providers = tuple((provider or {}).get(name, "") for name in names)
    table = replace(table, context_window=windows, capabilities=able, provider=providers)
    contents = BundleContents(
        graph=_graph(
            rng, vocabulary, dims, len(names), pad_id if padded else None, reference is not None
        ),
        tokenizer_json=text,
        features=FeatureSpec(
            lexical=NAMES,
            layout={"pad_id": pad_id, "separator_id": pad_id},
            encoder={"kind": "static", "dims": dims},
        ),
        policy=(policy or CostAwarePolicy(cost_weight=10.0)).to_dict(),
        candidates=table,
        calibration={"method": "none"},
        training={"rows": 0, **(training or {})},
        reference=reference or {},
        extras=extras or {},
    )
    return write_bundle(folder, contents)


def wordpiece() -> Tokenizer:
    """A BERT-like tokenizer of letters and a few words."""
    pieces = ["[PAD]", "[UNK]", *LETTERS, *(f"##{c}" for c in LETTERS), *TEXT.split()]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]"])
    return tokenizer


def _graph(
    rng: np.random.Generator,
    vocabulary: int,
    dims: int,
    n_candidates: int,
    pad_id: int | None,
    embeds: bool,
) -> bytes:
    graph = GraphBuilder()
    lexical = add_input(graph, "lexical")
    table = graph.constant(rng.normal(size=(vocabulary, dims)).astype(np.float32))
    total, count = _sums(graph, table, dims, pad_id)
    count = graph.op("Max", count, graph.constant(np.float32(1)))
    mean = graph.op("Div", total, count)
    if embeds:
        graph.output(mean, EMBEDDING, ("batch", dims))
    features = graph.op("Concat", mean, lexical, axis=1)
    k = np.arange(n_candidates, dtype=np.float32)
    width = dims + len(NAMES)
    heads = {
        "quality": ("Sigmoid", 0.4 * k, 0.2),
        "input_tokens": ("Softplus", 100.0 + 10.0 * k, 1.0),
        "output_tokens": ("Softplus", 50.0 + 5.0 * k, 1.0),
        "latency_ms": ("Softplus", 200.0 + 100.0 * k, 1.0),
    }
    for name, (kind, bias, scale) in heads.items():
        weights = scale * rng.normal(size=(width, n_candidates)) / np.sqrt(width)
        linear = graph.op("Gemm", features, graph.constant(weights), graph.constant(bias))
        graph.output(graph.op(kind, linear), name, ("batch", n_candidates))
    data: bytes = graph.build().SerializeToString()
    return data


def _sums(graph: GraphBuilder, table: str, dims: int, pad_id: int | None) -> tuple[str, str]:
    """Sum of the vectors of every query's tokens, and how many there are."""
    if pad_id is None:
        tokens, rows = add_input(graph, "tokens"), add_input(graph, "token_rows")
        total = row_sum(graph, graph.op("Gather", table, tokens), rows, width=dims)
        ones = graph.op("Expand", graph.constant(np.float32(1)), graph.op("Shape", rows))
        return total, row_sum(graph, ones, rows, width=1)
    ids = add_input(graph, "input_ids")
    padding = graph.op("Equal", ids, graph.constant(np.int64(pad_id)))
    mask = graph.op("Cast", graph.op("Not", padding), to=1)
    last = graph.constant(np.array([-1], dtype=np.int64))
    middle = graph.constant(np.array([1], dtype=np.int64))
    kept = graph.op("Mul", graph.op("Gather", table, ids), graph.op("Unsqueeze", mask, last))
    total = graph.op("ReduceSum", kept, middle, keepdims=0)
    return total, graph.op("ReduceSum", mask, middle, keepdims=1)
