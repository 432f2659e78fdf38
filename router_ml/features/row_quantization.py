"""int8 matrix products whose result is a row's own: no batch-mate or padding changes it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from router_ml.errors import ExportError
from router_ml.types.arrays import FloatArray

_DOMAIN: Final = "com.microsoft"
_ZERO_POINT: Final = 128
_MIN_ROWS: Final = 1_000
"""Of a table that is looked up in; smaller ones stay as they are."""


def quantize_rows(model: Any) -> Any:
    r"""Products with constant matrices, and look-up tables, in int8.

    .. math:: x W \approx s_x \, s_W \,(\hat x \hat W), \quad
              s_x = \max_j |x_j| / 127, \quad s_{W,k} = \max_j |W_{jk}| / 127

    Weights are scaled by output channel, activations by row (here: by token). ONNX Runtime's
    ``quantize_dynamic`` takes one scale for all activations of a call instead, which is coarser
    and makes a query's result depend on its batch-mates; both take the same time. Products that
    share an input become one. Integer sums are exact, in any order.

    Parameters
    ----------
    model : ``onnx.ModelProto`` in single precision; it is left as it is

    Returns
    -------
    ``onnx.ModelProto``

    References
    ----------
    .. [1] Yao et al., "ZeroQuant: Efficient and Affordable Post-Training Quantization for
       Large-Scale Transformers", NeurIPS 2022 (token-wise activations).
    """
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    _Quantizer(copy).run()
    copy.opset_import.append(onnx.helper.make_opsetid(_DOMAIN, 1))
    return copy


class _Quantizer:
    """Rewrites the nodes of one model."""

    def __init__(self, model: Any) -> None:
        self.graph = model.graph
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.nodes: list[Any] = []

    def run(self) -> None:
        """Replace products and look-ups, keeping the order of nodes."""
        shared: dict[str, list[Any]] = {}
        for node in self.graph.node:
            if node.op_type == "MatMul" and node.input[1] in self.constants:
                shared.setdefault(node.input[0], []).append(node)
        if not shared:
            raise ExportError("the model has no product with a constant matrix to quantise")
        for node in self.graph.node:
            products = shared.get(node.input[0], []) if node.input else []
            if any(node is one or node.output[0] == one.output[0] for one in products):
                if node.output[0] == products[0].output[0]:
                    self._product(node.input[0], products)
            elif node.op_type == "Gather" and self._is_table(node.input[0]):
                self._look_up(node)
            else:
                self.nodes.append(node)
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)

    def _op(self, kind: str, *inputs: str, output: str, domain: str = "", **given: Any) -> str:
        from onnx import helper

        self.nodes.append(
            helper.make_node(kind, list(inputs), [output], name=output, domain=domain, **given)
        )
        return output

    def _constant(self, name: str, value: Any, dtype: type[np.generic]) -> str:
        from onnx import numpy_helper

        if name not in self.constants:
            tensor = numpy_helper.from_array(np.ascontiguousarray(value, dtype=dtype), name)
            self.constants[name] = tensor
            self.graph.initializer.append(tensor)
        return name

    def _taken(self, name: str) -> FloatArray:
        """A constant's value; it leaves the graph."""
        from onnx import numpy_helper

        tensor = self.constants.pop(name)
        value: FloatArray = numpy_helper.to_array(tensor)
        self.graph.initializer.remove(tensor)
        return value

    def _product(self, x: str, products: list[Any]) -> None:
        """``x @ W`` of every node, as one integer product that is split."""
        from onnx import TensorProto

        matrices = [self._taken(node.input[1]) for node in products]
        W = np.concatenate(matrices, axis=1)
        scale = np.abs(W).max(axis=0) / 127.0 + 1e-12
        own = f"{x}_rows"
        depth = self._constant(f"{own}_depth", [-1, len(W)], np.int64)
        flat = self._op("Reshape", x, depth, output=f"{own}_flat")
        size = self._op("Abs", flat, output=f"{own}_size")
        largest = self._op("ReduceMax", size, output=f"{own}_max", axes=[1], keepdims=0)
        step = self._constant("row_step", 1.0 / 127.0, np.float32)
        tiny = self._constant("row_tiny", 1e-12, np.float32)
        s = self._op("Mul", largest, step, output=f"{own}_step")
        s = self._op("Add", s, tiny, output=f"{own}_scale")
        nothing = self._constant("row_nothing", 0.0, np.float32)
        middle = self._constant("row_middle", _ZERO_POINT, np.float32)
        zero = self._op("Mul", s, nothing, output=f"{own}_zeros")
        zero = self._op("Add", zero, middle, output=f"{own}_middles")
        zero = self._op("Cast", zero, output=f"{own}_zero", to=TensorProto.UINT8)
        whole = self._op("QuantizeLinear", flat, s, zero, output=f"{own}_int8", axis=0)
        left = self._op(
            "MatMulIntegerToFloat",
            whole,
            self._constant(f"{own}_weights", np.clip(np.round(W / scale), -127, 127), np.int8),
            self._constant("row_one", 1.0, np.float32),
            self._constant(f"{own}_channels", scale, np.float32),
            self._constant("row_zero_point", _ZERO_POINT, np.uint8),
            output=f"{own}_product",
            domain=_DOMAIN,
        )
        axis = self._constant("row_axis", [1], np.int64)
        column = self._op("Unsqueeze", s, axis, output=f"{own}_column")
        left = self._op("Mul", left, column, output=f"{own}_scaled")
        head = self._op("Shape", x, output=f"{own}_head", end=-1)
        width = self._constant(f"{own}_width", [W.shape[1]], np.int64)
        shape = self._op("Concat", head, width, output=f"{own}_shape", axis=0)
        outputs = [node.output[0] for node in products]
        if len(outputs) == 1:
            self._op("Reshape", left, shape, output=outputs[0])
            return
        from onnx import helper

        joined = self._op("Reshape", left, shape, output=f"{own}_joined")
        sizes = self._constant(f"{own}_sizes", [m.shape[1] for m in matrices], np.int64)
        self.nodes.append(
            helper.make_node("Split", [joined, sizes], outputs, name=f"{own}_split", axis=-1)
        )

    def _is_table(self, name: str) -> bool:
        tensor = self.constants.get(name)
        return tensor is not None and len(tensor.dims) == 2 and tensor.dims[0] >= _MIN_ROWS

    def _look_up(self, node: Any) -> None:
        """A row of int8, and its own scale."""
        from onnx import TensorProto

        table, ids, own = self._taken(node.input[0]), node.input[1], f"{node.output[0]}_table"
        scale = np.abs(table).max(axis=1, keepdims=True) / 127.0 + 1e-12
        rows = self._constant(f"{own}_rows", np.round(table / scale), np.int8)
        scales = self._constant(f"{own}_scales", scale, np.float32)
        found = self._op("Gather", rows, ids, output=f"{own}_found")
        found = self._op("Cast", found, output=f"{own}_float", to=TensorProto.FLOAT)
        step = self._op("Gather", scales, ids, output=f"{own}_step")
        self._op("Mul", found, step, output=node.output[0])
