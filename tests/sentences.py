"""A sentence encoder of no model: small, exact, at hand."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from router_ml.features.sentence_encoder import SentenceEncoder
from router_ml.features.static_encoder import StaticEncoder
from router_ml.features.tokenizer import QueryTokenizer, TokenLayout
from tests.bundles import wordpiece


def sentence_encoder() -> SentenceEncoder:
    """Three static dimensions; the sentence is the counts of tokens 5 and 6, of unit length."""
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
