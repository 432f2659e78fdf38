"""int8 products that are a row's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from router_ml.errors import ExportError
from router_ml.features.row_quantization import quantize_rows
from router_ml.runtime.session import open_session
from router_ml.types.arrays import FloatArray, IntArray


def model(*, products: bool = True) -> Any:
    """ids -> a table's rows -> tanh -> two products of one input, multiplied, and a third."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(2_000, 32)) * rng.uniform(0.1, 10.0, (2_000, 1))
    shapes = {"table": table, "a": rng.normal(size=(32, 48)), "b": rng.normal(size=(32, 48))}
    shapes["c"] = rng.normal(size=(48, 8)) * rng.uniform(0.1, 10.0, (1, 8))
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("Tanh", ["rows"], ["x"]),
    ]
    if products:
        nodes += [
            helper.make_node("MatMul", ["x", "a"], ["left"]),
            helper.make_node("MatMul", ["x", "b"], ["right"]),
            helper.make_node("Mul", ["left", "right"], ["both"]),
            helper.make_node("MatMul", ["both", "c"], ["out"]),
        ]
    else:
        nodes.append(helper.make_node("Identity", ["x"], ["out"]))
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "tokens"])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["batch", "tokens", 8])],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in shapes.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def run(graph: Any, ids: IntArray) -> FloatArray:
    session = open_session(graph.SerializeToString(), "a test")
    return np.asarray(session.run(None, {"ids": ids})[0])


def test_products_are_near_and_a_rows_own() -> None:
    whole = model()
    small = quantize_rows(whole)
    ids = np.random.default_rng(1).integers(0, 2_000, (5, 7))
    exact, ours = run(whole, ids), run(small, ids)
    spread = exact.std(axis=(0, 1))
    assert (np.abs(ours - exact) / spread).mean() < 0.02
    for i in range(5):
        # Integer sums: not close, equal, whoever else is in the batch.
        assert np.array_equal(run(small, ids[i : i + 1])[0], ours[i])
        assert np.array_equal(run(small, ids[i : i + 1, :3])[0], ours[i, :3])


def test_weights_and_tables_are_a_quarter_and_the_model_is_untouched() -> None:
    whole = model()
    before = whole.SerializeToString()
    small = quantize_rows(whole)
    assert whole.SerializeToString() == before
    assert len(small.SerializeToString()) < 0.35 * len(before)
    kinds = [node.op_type for node in small.graph.node]
    assert kinds.count("MatMulIntegerToFloat") == 2  # two products share an input
    assert "MatMul" not in kinds
    onnx.checker.check_model(small)


def test_zero_rows_stay_zero() -> None:
    whole = model()
    table = next(tensor for tensor in whole.graph.initializer if tensor.name == "table")
    table.CopyFrom(numpy_helper.from_array(np.zeros((2_000, 32), dtype=np.float32), "table"))
    assert not run(quantize_rows(whole), np.array([[1, 2]])).any()


def test_a_model_without_products_is_refused() -> None:
    with pytest.raises(ExportError, match="no product"):
        quantize_rows(model(products=False))
